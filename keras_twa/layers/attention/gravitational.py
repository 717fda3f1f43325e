"""Gravitational attention: tokens attract one another like masses."""

from typing import ClassVar

import keras

from keras_twa.layers.attention.gravity import Gravity
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.ops import biased
from keras_twa.ops import tiled_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class GravitationalAttention(PairAttention):
    """Multi-head attention by Newton's law of gravity.

    Per head, query `i` is drawn to key `j` by the force
    `F = G m_i m_j / (r^2 + softening^2)^(exponent / 2)`, with `r = |q_i - k_j|`,
    masses `m = softplus(projection) > 0` learned from the tokens, and a learned
    `G > 0`. The output is `softmax(F) V`.

    With `normalization="force"`, the weights are the forces divided by their sum. Then
    `m_i` and `G` cancel: they have no effect and no gradient, and only key masses and
    distances matter.

    Cost: O(T S D) time, O(T + S) memory.

    Args:
        exponent: How fast the force falls with distance. Defaults to 2.
        softening: Distance below which the force stops growing, so that
            coincident points attract finitely (Plummer). Defaults to 0.5.
        normalization: "softmax" (default) or "force".
        gravity: Initial G of every head. Defaults to `key_dim`, where forces begin to
            differ noticeably: with 1, the softmax is almost uniform.

    Raises:
        ValueError: If a size, `exponent`, `softening` or `gravity` is not
            positive, `normalization` is unknown, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import GravitationalAttention
    >>> layer = GravitationalAttention(num_heads=2, key_dim=8, exponent=1)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x).shape)
    (4, 10, 16)

    Reference:
        [Kim et al., 2021](https://arxiv.org/abs/2006.04710) for attention by distance
        instead of the dot product.
    """

    rotary = True
    position_bias = True
    search_space: ClassVar[dict] = {
        "exponent": (2.0, 1.0, 3.0),
        "softening": (0.5, 0.1, 2.0),
        "normalization": ("softmax", "force"),
    }

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        exponent=2.0,
        softening=0.5,
        normalization="softmax",
        gravity=None,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        self.gravity = Gravity(
            num_heads,
            exponent,
            softening,
            normalization,
            key_dim if gravity is None else gravity,
            name="gravity",
        )

    def projections(self):
        return (
            *super().projections(),
            Projection("query_mass", "query", self.num_heads, 1),
            Projection("key_mass", "key", self.num_heads, 1),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.gravity.build()

    def attend(self, call):
        query, key = self.gravity(
            call["query"], call["key"], call["query_mass"], call["key_mass"]
        )
        score, query, key = biased(
            self.gravity.law,
            query,
            key,
            self.pair_bias(call),
        )
        return tiled_attention(
            score,
            query,
            key,
            call["value"],
            call.mask,
            call.dropout,
            call.return_weights,
        )

    def position_profile(self, length):
        return [self.gravity.forces(self, length)]

    def example_weights(self):
        return [(self.gravity.log_gravity, [[2.0], [3.0]])]

    def get_config(self):
        return {**super().get_config(), **self.gravity.options()}
