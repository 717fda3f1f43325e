"""Cases of this package's layers, and callables for some options."""

import keras
import numpy as np
from keras import ops

from keras_twa import layers
from keras_twa.testing.case import Case
from keras_twa.testing.harness import HEADS
from tests import references


def case(id, layer, loop, *own, **options):
    """Return a case; `own` names the options that its loop also takes."""
    return Case(id, layer, loop, options, {name: options[name] for name in own})


@keras.saving.register_keras_serializable("tests")
def sawtooth(u):
    """Map `(..., 1)` positions to one value per head: a callable with no weights."""
    return ops.concatenate([ops.multiply(u, 0.5), ops.subtract(1.0, u)], axis=-1)


def sawtooth_loop(weights, u, head):
    """Return `sawtooth` for one head."""
    return (0.5 * u, 1.0 - u)[head]


@keras.saving.register_keras_serializable("tests")
class Bump(keras.layers.Layer):
    """A temporal function with a weight per head: `height / (1 + u^2)`."""

    def build(self, input_shape):
        self.height = self.add_weight(shape=(HEADS,), name="height")

    def call(self, u):
        return ops.divide(self.height, ops.add(ops.square(u), 1.0))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], HEADS)


def bump_loop(weights, u, head):
    """Return `Bump` for one head."""
    return weights["temporal_function/height"][head] / (1 + u**2)


@keras.saving.register_keras_serializable("tests")
def soft_and_hard(x):
    """Map `(..., D)` to features `(..., 2 D)`."""
    return ops.concatenate([ops.softplus(x), ops.softplus(-2.0 * x)], axis=-1)


def soft_and_hard_loop(x):
    """Return the same as `soft_and_hard`, in NumPy."""
    softplus = np.vectorize(references.softplus)
    return np.concatenate([softplus(x), softplus(-2 * x)], axis=-1)


@keras.saving.register_keras_serializable("tests")
def uneven(query, key):
    """Return `sum_c (c + 1) (q_c - k_c)^2 / 2` of `(g, t, D)` and `(g, D, S)`."""
    away = ops.square(query[..., None] - key[:, None])
    weights = ops.arange(1, query.shape[-1] + 1, dtype="float32")[:, None]
    return ops.sum(away * (weights * 0.5), axis=2)


def uneven_loop(q, k):
    """Return `uneven` for one query and one key."""
    return ((q - k) * (q - k) * np.arange(1, q.size + 1)).sum() / 2


def temporal(id, temporal_function="linear", loop_function=None, **options):
    """Return a temporal case, with a short time scale so that the weights differ."""
    own = {"mode", "applies_to", "weighting"} & set(options)
    made = case(
        f"temporal_weighted-{id}",
        layers.TemporalWeightedAttention,
        references.temporal_weighted,
        "time_scale",
        *own,
        time_scale=3.0,
        temporal_function=temporal_function,
        **options,
    )
    made.loop_options["temporal_function"] = loop_function or temporal_function
    return made
