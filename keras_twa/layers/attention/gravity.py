"""The law of gravity that two attention layers share."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.ops import Force
from keras_twa.ops import log_softplus


class Gravity(keras.layers.Layer):
    """Turns mass projections into masses, and pairs of tokens into logits.

    Args:
        num_heads: Number of heads, each with its own constant G.
        exponent: How fast the force falls with distance.
        softening: Distance below which the force stops growing.
        normalization: "softmax": logits are forces. "force": logits are their
            logarithms, so that the weights are the forces divided by their sum.
        gravity: Initial G.

    Call arguments:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`.
        query_mass: `(B, T, H, 1)`, before the softplus.
        key_mass: `(B, S, H, 1)`, before the softplus.

    Returns:
        The inputs of the score `law`: a dictionary of tensors for queries and one for
        keys.
    """

    def __init__(
        self, num_heads, exponent, softening, normalization, gravity, **kwargs
    ):
        checks.positive_number(exponent=exponent, softening=softening, gravity=gravity)
        checks.one_of(("softmax", "force"), normalization=normalization)
        super().__init__(dtype="float32", **kwargs)
        self.num_heads = num_heads
        self.exponent = exponent
        self.softening = softening
        self.normalization = normalization
        self.gravity = gravity
        self.law = Force(exponent, softening, log=normalization == "force")

    def build(self, query_shape=None):
        self.log_gravity = self.add_weight(
            shape=(self.num_heads, 1),
            initializer=keras.initializers.Constant(math.log(self.gravity)),
            name="log_gravity",
        )

    def call(self, query, key, query_mass, key_mass):
        log_gravity = ops.convert_to_tensor(self.log_gravity)
        log_query_mass = log_softplus(query_mass) + log_gravity
        return self.law.prepare(query, key, log_query_mass, log_softplus(key_mass))

    def forces(self, layer, length):
        """Forces between masses of 1, by distance, as `Curves`.

        They cover the range of distances that occur with the initial weights.

        Args:
            layer: The attention layer that this one is part of.
            length: Number of points.
        """
        distance = np.linspace(0, 2 * math.sqrt(layer.key_dim), length)
        fall = (distance**2 + self.softening**2) ** (-self.exponent / 2)
        constants = np.exp(ops.convert_to_numpy(self.log_gravity))
        lines = profiles.by_head(layer, fall[:, None] * constants[:, 0])
        xlabel, ylabel = "distance of query and key", "force between masses of 1"
        return profiles.Curves(xlabel, ylabel, distance, lines)

    def options(self):
        """The constructor arguments that an attention layer passes on."""
        return {
            "exponent": self.exponent,
            "softening": self.softening,
            "normalization": self.normalization,
            "gravity": self.gravity,
        }
