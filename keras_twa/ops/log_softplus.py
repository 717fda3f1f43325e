"""The logarithm of the softplus."""

from keras import ops


def log_softplus(x):
    """`log(log(1 + e^x))`, also where `e^x` is too small for a float32."""
    x = ops.cast(x, "float32")
    # Below -15 the softplus is e^x to the last digit, and its log is x.
    safe = ops.log(ops.softplus(ops.maximum(x, -15.0)))
    return ops.where(ops.greater(x, -15.0), safe, x)
