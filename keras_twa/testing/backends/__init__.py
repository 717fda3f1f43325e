"""First and second derivatives, computed with the tools of each backend.

The checks differentiate with these instead of the code of `keras_twa.ops`, so that they
are independent of the code under test. Each function imports its backend when it is
called, so every module can be imported where only one backend is installed.
"""

import importlib

from keras_twa.ops import backend

_own = importlib.import_module(f"{__name__}.{backend.NAME}")
gradients = _own.gradients
hessian_vector_product = _own.hessian_vector_product

__all__ = ["gradients", "hessian_vector_product"]
