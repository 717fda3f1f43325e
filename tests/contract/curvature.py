"""Hessian-vector products of a layer: gradients that each backend differentiates."""

import keras
import numpy as np
from keras import ops

from tests.contract.harness import split
from tests.contract.harness import to_numpy
from tests.contract.harness import weight_names
from tests.contract.scenarios import normal


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
    """Return what a call is differentiated by: inputs and trainable weights, by name.

    Returns:
        The inputs as arrays, the weights as variables, and the other arguments.
    """
    tensors, options = split(call, layer)
    weights = {n: v for n, v in weight_names(layer).items() if v.trainable}
    return tensors, weights, options


def hessian_vector_product(layer, call, cotangent, directions):
    """Return the derivative of all gradients of `bent` along a line, by name."""
    run = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
    found = run[keras.backend.backend()](layer, call, cotangent, directions)
    return {
        name: np.zeros_like(directions[name]) if x is None else to_numpy(x)
        for name, x in found.items()
    }


def _jax(layer, call, cotangent, directions):
    import jax

    tensors, weights, options = arguments_of(layer, call)
    states = [v.value for v in layer.non_trainable_variables]
    names = {id(v): name for name, v in weights.items()}

    def loss(leaves):
        values = [leaves[names[id(v)]] for v in layer.trainable_variables]
        inputs = {name: leaves[name] for name in tensors}
        output, _ = layer.stateless_call(values, states, **inputs, **options)
        return bent(output, cotangent)

    def slope(leaves):
        gradients = jax.grad(loss)(leaves)
        return sum((gradients[name] * directions[name]).sum() for name in leaves)

    leaves = {**tensors, **{name: v.value for name, v in weights.items()}}
    return jax.jit(jax.grad(slope))(leaves)


def _tensorflow(layer, call, cotangent, directions):
    import tensorflow as tf

    tensors, weights, options = arguments_of(layer, call)
    tensors = {name: tf.convert_to_tensor(x) for name, x in tensors.items()}
    leaves = {**tensors, **{name: v.value for name, v in weights.items()}}
    with tf.GradientTape() as outer:
        outer.watch(list(leaves.values()))
        with tf.GradientTape() as inner:
            inner.watch(list(leaves.values()))
            loss = bent(layer(**tensors, **options), cotangent)
        gradients = inner.gradient(loss, leaves)
        slope = sum(
            tf.reduce_sum(tf.convert_to_tensor(x) * directions[name])
            for name, x in gradients.items()
            if x is not None
        )
    return outer.gradient(slope, leaves)


def _torch(layer, call, cotangent, directions):
    import torch

    tensors, weights, options = arguments_of(layer, call)
    device = ops.convert_to_tensor(0.0).device
    tensors = {
        name: torch.tensor(x, device=device, requires_grad=True)
        for name, x in tensors.items()
    }
    leaves = {**tensors, **{name: v.value for name, v in weights.items()}}
    loss = bent(layer(**tensors, **options), cotangent)
    gradients = torch.autograd.grad(
        loss, list(leaves.values()), create_graph=True, allow_unused=True
    )
    slope = sum(
        (x * ops.convert_to_tensor(directions[name])).sum()
        for name, x in zip(leaves, gradients, strict=True)
        if x is not None
    )
    found = torch.autograd.grad(slope, list(leaves.values()), allow_unused=True)
    return dict(zip(leaves, found, strict=True))
