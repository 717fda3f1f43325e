"""Derivatives of float64 functions to machine precision.

They use the complex step (Squire and Trapp, 1998): for an analytic `f`,
`Im f(x + ih) / h` is the derivative, with no step size to tune.
"""

import numpy as np


def directional_derivative(function, arguments, name, direction, step=1e-30):
    """Return d/dh of `function(arguments)` as `arguments[name]` moves by h `direction`.

    `function` maps a dict of arrays to a real number, computed analytically.
    """
    moved = dict(arguments)
    moved[name] = arguments[name] + 1j * step * direction
    return np.imag(function(moved)) / step
