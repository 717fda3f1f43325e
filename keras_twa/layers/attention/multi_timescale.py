"""Multi-timescale attention: attention with several discounts side by side."""

from typing import ClassVar

import keras
from keras import ops

from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.timescales import DISCOUNTS_TO_SEARCH
from keras_twa.layers.attention.timescales import GATE
from keras_twa.layers.attention.timescales import Timescales
from keras_twa.ops import InnerProduct


@keras.saving.register_keras_serializable(package="keras_twa")
class MultiTimescaleAttention(PairAttention):
    """Multi-head attention at several timescales with a learned decoder.

    For each discount `gamma`, with its own queries, keys and values:
    `softmax((Q K^T / sqrt(D)) * gamma^|t_i - t_j|) V`. A decoder, the learned
    counterpart of an inverse Laplace transform, combines the timescales.

    The product makes distant scores go to 0, not to minus infinity, so distant keys
    keep the weight of an average key. `discount="additive"` computes
    `softmax(Q K^T / sqrt(D) + |t_i - t_j| log gamma) V`, where the weights of distant
    keys go to 0.

    Cost, with N discounts: O(N T S D) time, O(N (T + S)) memory. In self-attention
    without positions, dropout or pairwise mask, a fixed discount that decays within a
    quarter of the sequence takes O(T) time: more distant scores of at most 1000 would
    fall below 1e-6 and count as 0. An additive discount is cut off at 128 nats.

    Args:
        num_heads: Number of heads H for each timescale.
        discounts: Discount per unit of time of each timescale, in (0, 1).
            Defaults to (0.6, 0.9, 0.99). "log_uniform": `num_timescales` learned
            discounts `exp(-1 / tau)`, with initial `tau` from 1 to `longest_timescale`,
            evenly spaced on a logarithmic scale.
        trainable_discounts: Whether they are learned. Defaults to `False`.
        discount: "multiplicative" (the definition) or "additive".
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
        ValueError: If a discount is not inside (0, 1), or an argument or a shape
            does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import MultiTimescaleAttention
    >>> layer = MultiTimescaleAttention(2, 8, discounts=(0.5, 0.95))
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)

    Reference:
        [Masset et al., 2025](https://doi.org/10.1038/s41586-025-08929-9) on
        learning with many discounts, and
        [Press et al., 2022](https://arxiv.org/abs/2108.12409) for additive
        penalties by distance.
    """

    uses_times = True
    rotary = True
    search_space: ClassVar[dict] = {
        "discounts": DISCOUNTS_TO_SEARCH,
        "trainable_discounts": (False, True),
        "discount": ("multiplicative", "additive"),
        "decoder": ("learned", "gated"),
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

    def projections(self):
        heads = self.timescales.num_timescales * self.num_heads
        return (
            Projection("query", "query", heads, self.key_dim),
            Projection("key", "key", heads, self.key_dim),
            Projection("value", "value", heads, self.value_dim),
            *self.timescales.gate_projections(),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        length = (query_shape if value_shape is None else value_shape)[1]
        self.timescales.build((None, length, None, self.value_dim))

    def attend(self, call):
        query = ops.cast(call["query"], "float32") * self.key_dim**-0.5
        return self.timescales.attend(
            InnerProduct(),
            {"query": query},
            {"key": call["key"]},
            call["value"],
            query_positions=call.query_times,
            key_positions=call.key_times,
            mask=call.mask,
            dropout=call.dropout,
            return_weights=call.return_weights,
            gates=call.heads.get(GATE),
        )

    def position_profile(self, length):
        return [self.timescales.fading(length)]

    def get_config(self):
        return {**super().get_config(), **self.timescales.options()}
