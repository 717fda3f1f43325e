"""Functions that also hold for complex numbers, and derivatives by them."""

import numpy as np


def softplus(x):
    """Return `log(1 + exp(x))` without overflow."""
    return x + np.log1p(np.exp(-x)) if np.real(x) > 0 else np.log1p(np.exp(x))


def sigmoid(x):
    """Return `1 / (1 + exp(-x))` without overflow."""
    if np.real(x) >= 0:
        return 1 / (1 + np.exp(-x))
    return np.exp(x) / (1 + np.exp(x))


def relu(x):
    """Return `x` where its real part is positive, else 0."""
    return np.where(np.real(x) > 0, x, 0.0)


def unit(x):
    """Return vectors of length 1, or of 0 where they are 0."""
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True) + 1e-6)


def each(function, x):
    """Return a function of each number."""
    return np.vectorize(function, otypes=[np.complex128])(x)


def directional_derivative(function, arguments, name, direction, step=1e-30):
    """Return d/dh of `function(arguments)` as `arguments[name]` moves by h direction.

    `function` maps a dict of arrays to a real number, computed analytically.
    """
    moved = dict(arguments)
    moved[name] = arguments[name] + 1j * step * direction
    return np.imag(function(moved)) / step
