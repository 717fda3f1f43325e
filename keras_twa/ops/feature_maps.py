"""Feature maps of linear attention: what takes the place of the exponential."""

from keras import ops


def elu_plus_one(x):
    """`elu(x) + 1`: positive everywhere, and `exp(x)` below zero."""
    return ops.where(ops.greater(x, 0.0), x + 1.0, ops.exp(ops.minimum(x, 0.0)))


def relu(x):
    """`max(x, 0)`."""
    return ops.relu(x)


def softplus(x):
    """`log(1 + exp(x))`."""
    return ops.softplus(x)


def squared_relu(x):
    """`max(x, 0)^2`."""
    return ops.square(ops.relu(x))


FEATURE_MAPS = {
    function.__name__: function
    for function in (elu_plus_one, relu, softplus, squared_relu)
}
