"""Vectors of length 1."""

from keras import ops

# Keeps the length of a zero vector differentiable.
LEAST_SQUARE = 1e-6


def unit(x):
    """`x / |x|` along the last axis, in float32; zero vectors stay zero."""
    x = ops.cast(x, "float32")
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(squares + LEAST_SQUARE)
