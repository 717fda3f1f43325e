"""Feature maps of linear attention, which replace the exponential of softmax."""

from keras import ops

from keras_twa.ops.log_softplus import log_softplus
from keras_twa.ops.recurrent.log_linear import logs_of


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


def log_elu_plus_one(x):
    """`log(elu(x) + 1)`, also where that is too small for a float32."""
    return ops.log(1.0 + ops.relu(x)) + ops.minimum(x, 0.0)


def log_squared_relu(x):
    """`log(max(x, 0)^2)`, likewise, and very negative where the square is zero."""
    return 2.0 * logs_of(ops.relu(x))


LOG_FEATURE_MAPS = {
    "elu_plus_one": log_elu_plus_one,
    "softplus": log_softplus,
    "squared_relu": log_squared_relu,
}
