"""Attention mechanisms for Keras 3, on TensorFlow, JAX and PyTorch.

`import keras_twa` is quick and needs no backend: a package such as `keras_twa.layers`
is imported when it is first used. Saved models load after it, too.
"""

import importlib
import importlib.util

from keras_twa import with_keras
from keras_twa.version import __version__

__all__ = ["__version__"]

_PACKAGES = (
    "comparing",
    "datasets",
    "experiments",
    "layers",
    "masks",
    "models",
    "ops",
    "probing",
    "swapping",
    "tasks",
    "testing",
    "training",
    "tuner",
    "visualization",
)
# Functions that are so common that they have a short name, and where they are.
_FUNCTIONS = {
    "compare": "comparing",
    "probe": "probing",
    "swap_attention": "swapping",
}

with_keras.prepare()


def __getattr__(name):
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        package = importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}")
        return getattr(package, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    # Help and completion look at each of them, and the search is an extra.
    searches = importlib.util.find_spec("keras_tuner") is not None
    hidden = set() if searches else {"tuner"}
    return sorted({*globals(), *_PACKAGES, *_FUNCTIONS} - hidden)
