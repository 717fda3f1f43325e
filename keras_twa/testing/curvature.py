"""Hessian-vector products of a layer."""

import numpy as np
from keras import ops

from keras_twa.testing import backends
from keras_twa.testing.harness import split
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.harness import weight_names
from keras_twa.testing.scenarios import normal


def bent(output, cotangent):
    """Return `sum(sin(output) * cotangent)`: a loss with second derivatives."""
    return ops.sum(ops.sin(output) * ops.convert_to_tensor(cotangent))


def lines_through(arrays, seed):
    """Return a random direction for each array of a dictionary, by name."""
    return {
        name: normal(*np.shape(x), seed=seed + place)
        for place, (name, x) in enumerate(arrays.items())
    }


def arguments_of(layer, call):
    """Return what to differentiate a call by: inputs and trainable weights, by name.

    Returns:
        The inputs as arrays, the weights as variables, and the other arguments.
    """
    tensors, options = split(call, layer)
    weights = {n: v for n, v in weight_names(layer).items() if v.trainable}
    return tensors, weights, options


def hessian_vector_product(layer, call, cotangent, directions):
    """Return the derivative of all gradients of `bent` along a direction, by name."""
    tensors, weights, options = arguments_of(layer, call)
    found = backends.hessian_vector_product(
        layer, tensors, options, weights, lambda x: bent(x, cotangent), directions
    )
    return {
        name: np.zeros_like(directions[name]) if x is None else to_numpy(x)
        for name, x in found.items()
    }
