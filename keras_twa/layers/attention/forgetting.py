"""Forgetting attention: softmax attention with a learned forget gate."""

import keras
from keras import ops

from keras_twa.layers.attention.directed import Directed
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.ops import forgetting_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class ForgettingAttention(Directed, PairAttention):
    """Multi-head softmax attention with a forget gate.

    Per head, over the steps up to `i`: `softmax(q_i . k_j / sqrt(D) + c_i - c_j) v_j`,
    where `c_t` is the sum of `log f` over the steps up to `t`, and
    `f = sigmoid(x w + b)` is the forget gate of a step. Where a head's gate is near 0,
    that step hides all earlier steps.

    It is causal, whether `use_causal_mask` is set or not. Differences of `c` stay
    accurate at any length. No fused kernel ensures that, so scores are computed tile by
    tile.

    Cost: O(T^2 D) time, O(T) memory.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, T)` in float32; with `return_state`, also the state: keys,
        values and gates of the steps so far.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import ForgettingAttention
    >>> layer = ForgettingAttention(num_heads=2, key_dim=8)
    >>> tuple(layer(np.ones((4, 10, 16), "float32")).shape)
    (4, 10, 16)

    Reference:
        [Lin et al., 2025](https://arxiv.org/abs/2503.02130)
    """

    causality = "always"
    cross_attention = False
    rotary = True
    position_bias = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )

    def projections(self):
        forget = Projection("forget", "key", self.num_heads, 1)
        return (*super().projections(), forget)

    def attend(self, call):
        # In float32, whatever the policy: in half precision, a sum over 1,000 gates
        # would lose all accuracy.
        log_gates = ops.log_sigmoid(ops.cast(call["forget"][..., 0], "float32"))
        return forgetting_attention(
            call["query"],
            call["key"],
            call["value"],
            log_gates,
            call.mask,
            dropout=call.dropout,
            return_weights=call.return_weights,
            pair_bias=self.pair_bias(call),
        )
