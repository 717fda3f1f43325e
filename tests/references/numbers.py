"""Functions that also hold for complex numbers."""

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
