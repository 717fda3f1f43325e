"""Gravitational attention at several timescales."""

from typing import ClassVar

import keras

from keras_twa.layers.attention.gravity import Gravity
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.timescales import DISCOUNTS_TO_SEARCH
from keras_twa.layers.attention.timescales import GATE
from keras_twa.layers.attention.timescales import Timescales


@keras.saving.register_keras_serializable(package="keras_twa")
class GravitationalMultiTimescaleAttention(PairAttention):
    """Multi-head gravitational attention at several timescales.

    For each discount `gamma`, with its own queries, keys, values, masses and G, the
    force `F = G m_i m_j / (r^2 + softening^2)^(exponent / 2)` of
    `GravitationalAttention` decays with time to `F * gamma^|t_i - t_j|`; the output is
    the softmax of that over the keys, times V. A decoder, the learned counterpart of an
    inverse Laplace transform, combines the timescales.

    With `discount="additive"`, the logits are `F + |t_i - t_j| log gamma`. With
    `normalization="force"`, the weights are the decayed forces divided by their sum:
    both kinds of discount are then the same, and query masses and G cancel.

    `metric` and `law` change the distance and the force as in `GravitationalAttention`.

    Cost, with N discounts: O(N T S D) time, O(N (T + S)) memory. In self-attention
    without positions, dropout or pairwise mask, a fixed discount that decays within a
    quarter of the sequence takes O(T) time: more distant scores of at most 1000 would
    fall below 1e-6 and count as 0. An additive discount is cut off at 128 nats. With
    "manhattan" or a function as `metric`, time is always quadratic.

    Args:
        num_heads: Number of heads H for each timescale.
        discounts: Discount per unit of time of each timescale, in (0, 1).
            Defaults to (0.6, 0.9, 0.99). "log_uniform": `num_timescales` learned
            discounts `exp(-1 / tau)`, with initial `tau` from 1 to `longest_timescale`,
            evenly spaced on a logarithmic scale.
        trainable_discounts: Whether they are learned. Defaults to `False`.
        discount: "multiplicative" (the definition) or "additive".
        exponent: How fast the force falls with distance. Defaults to 2.
        softening: Distance below which the force stops growing. Defaults to 0.5.
        normalization: "softmax" (default) or "force".
        gravity: Initial G of every head. By default, forces differ noticeably at any
            `key_dim`, as in `GravitationalAttention`: `2 key_dim` for Newton's law with
            Euclidean distances.
        metric: "euclidean" (default), "manhattan", "cosine", "hyperbolic",
            "mahalanobis", or a function of queries `(g, t, D)` and keys `(g, D, S)`, as
            in `GravitationalAttention`.
        law: "newton" (default) or "yukawa".
        screening_length: Initial screening length of every head, only for "yukawa".
            Defaults to the typical distance.
        decoder: "learned" (default), or "gated": before the decoder, the gate
            `N softmax(x W)` of each step and head weighs the N timescales.
        num_timescales: N, for `discounts="log_uniform"`.
        longest_timescale: The longest initial `tau`, more than 1. Defaults to the
            length of the sequence that the layer is built for.
        select: For the gated decoder, how many timescales each step and head keeps: the
            others get a gate of 0. All are computed. Defaults to `None`: all.

    Call arguments:
        attention_mask: Boolean `(B, T, S)` or `(B, H', T, S)`, `True` to attend.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H', T, S)` in float32, where `H'` is the number of discounts times
        `num_heads`: all heads of the first discount come first.

    Raises:
        ValueError: If a discount is not inside (0, 1), rotary positions meet
            "manhattan" or "mahalanobis", or an argument or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import GravitationalMultiTimescaleAttention
    >>> layer = GravitationalMultiTimescaleAttention(2, 8, discounts=(0.5, 0.95))
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x).shape)
    (4, 10, 16)

    Reference:
        [Masset et al., 2025](https://doi.org/10.1038/s41586-025-08929-9) on
        learning with many discounts, and
        [Kim et al., 2021](https://arxiv.org/abs/2006.04710) for attention by
        distance.
    """

    uses_times = True
    rotary = True
    search_space: ClassVar[dict] = {
        "discounts": DISCOUNTS_TO_SEARCH,
        "discount": ("multiplicative", "additive"),
        "exponent": (2.0, 1.0, 3.0),
        "normalization": ("softmax", "force"),
        "metric": ("euclidean", "cosine", "hyperbolic", "mahalanobis"),
        "law": ("newton", "yukawa"),
    }

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        discounts=(0.6, 0.9, 0.99),
        trainable_discounts=False,
        discount="multiplicative",
        exponent=2.0,
        softening=0.5,
        normalization="softmax",
        gravity=None,
        metric="euclidean",
        law="newton",
        screening_length=None,
        decoder="learned",
        num_timescales=None,
        longest_timescale=None,
        select=None,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        self.timescales = Timescales(
            discounts,
            trainable_discounts,
            discount,
            num_heads,
            use_bias,
            self._dense_options,
            decoder,
            num_timescales,
            longest_timescale,
            select,
            dtype=self.dtype_policy,
            name="timescales",
        )
        self.gravity = Gravity(
            self.timescales.num_timescales * num_heads,
            key_dim,
            metric,
            law,
            exponent,
            softening,
            normalization,
            gravity,
            screening_length,
            name="gravity",
        )
        self.gravity.check_positions(self)

    def projections(self):
        heads = self.timescales.num_timescales * self.num_heads
        return (
            Projection("query", "query", heads, self.key_dim),
            Projection("key", "key", heads, self.key_dim),
            Projection("value", "value", heads, self.value_dim),
            Projection("query_mass", "query", heads, 1),
            Projection("key_mass", "key", heads, 1),
            *self.timescales.gate_projections(),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        length = (query_shape if value_shape is None else value_shape)[1]
        self.timescales.build((None, length, None, self.value_dim))
        self.gravity.build()

    def attend(self, call):
        query, key = self.gravity(
            call["query"], call["key"], call["query_mass"], call["key_mass"]
        )
        return self.timescales.attend(
            self.gravity.force,
            query,
            key,
            call["value"],
            # If logits are logarithms of forces, a factor becomes a summand.
            adds=self.gravity.normalization == "force",
            query_positions=call.query_times,
            key_positions=call.key_times,
            mask=call.mask,
            dropout=call.dropout,
            return_weights=call.return_weights,
            width=self.gravity.width,
            gates=call.heads.get(GATE),
        )

    def position_profile(self, length):
        return [self.timescales.fading(length), self.gravity.forces(self, length)]

    def get_config(self):
        return {
            **super().get_config(),
            **self.timescales.options(),
            **self.gravity.options(),
        }
