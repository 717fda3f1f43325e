"""What a case of the contract is, and the callables that some options are."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from tests import references
from tests.contract.harness import HEAD_WIDTH
from tests.contract.harness import HEADS


@dataclasses.dataclass(frozen=True)
class Case:
    """One layer with one set of options, and the loop it must equal."""

    id: str
    layer: type
    loop: Callable
    options: dict = dataclasses.field(default_factory=dict)
    # Options that the loop knows under the same name; a pair gives it another value.
    loop_options: dict = dataclasses.field(default_factory=dict)

    @property
    def has_pairs(self):
        """Whether the layer has scores of pairs, to mask, to drop and to return."""
        return self.layer.pairwise_mask

    def takes(self, call):
        """Whether the layer can do what a call asks for."""
        if call.get("attention_mask") is not None and not self.has_pairs:
            return False
        itself = call["value"] is call["query"] and call.get("key") is None
        return itself or self.layer.cross_attention

    def make(self, **overrides):
        """Return a fresh layer."""
        options = {"num_heads": HEADS, "key_dim": HEAD_WIDTH, **self.options}
        for name, value in options.items():
            if isinstance(value, keras.Layer):  # two layers must not share a third
                options[name] = value.__class__.from_config(value.get_config())
        return self.layer(**{**options, **overrides})

    def reference(self, weights, call):
        """Return the loop's `(output, scores)` for a call."""
        call = {"value": call["query"], **self.loop_options, **call}
        return self.loop(weights, **call)

    def with_layer(self, layer):
        """Return this case with another layer class, such as a broken one."""
        return dataclasses.replace(self, layer=layer)


def case(id, layer, loop, *own, **options):
    """Return a case; `own` names the options that its loop takes too."""
    return Case(id, layer, loop, options, {name: options[name] for name in own})


@keras.saving.register_keras_serializable("tests")
def sawtooth(u):
    """Map `(..., 1)` positions to one value per head: a callable with no weights."""
    return ops.concatenate([ops.multiply(u, 0.5), ops.subtract(1.0, u)], axis=-1)


def sawtooth_loop(weights, u, head):
    """Return what `sawtooth` gives one head."""
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
    """Return what `Bump` gives one head."""
    return weights["temporal_function/height"][head] / (1 + u**2)


@keras.saving.register_keras_serializable("tests")
def soft_and_hard(x):
    """Map `(..., D)` to features `(..., 2 D)`."""
    return ops.concatenate([ops.softplus(x), ops.softplus(-2.0 * x)], axis=-1)


def soft_and_hard_loop(x):
    """Return what `soft_and_hard` does."""
    softplus = np.vectorize(references.softplus)
    return np.concatenate([softplus(x), softplus(-2 * x)], axis=-1)
