"""Local attention: each step sees the steps around it."""

from typing import ClassVar

import keras

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.states import WindowCache
from keras_twa.ops import local_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class LocalAttention(PairAttention):
    """Multi-head softmax attention within a sliding window, with global tokens.

    Per head, `softmax(q_i . k_j / sqrt(D)) v_j` over the keys with `|i - j| < window`,
    and `j <= i` under a causal mask. A window includes the step itself: with
    `window=1`, a step sees nothing else. Windows count steps, not times.

    The first `num_global_tokens` real steps, such as a class token or a question,
    attend to all steps, and all steps attend to them. Under a causal mask, they attend
    to earlier steps only, and only later steps attend to them. They use the same
    projections as other steps.

    Scores of other pairs are not computed, unless the length is unknown, or attention
    weights are dropped, returned, or masked pair by pair.

    Cost: O(T (window + num_global_tokens) D) time, O(T) memory; otherwise O(T^2 D)
    time. Decoding holds the keys and values of `window - 1 + num_global_tokens` steps.

    Args:
        window: Number of steps that a step sees, counting itself and earlier steps, and
            as many ahead unless the call is causal. Defaults to 128.
        num_global_tokens: How many of the first real steps are global. Defaults to 0.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, T)` in float32; with `return_state`, also the state: "key"
        and "value" `(B, window - 1, H, width)`, and which of them are "real"; with
        global tokens, the same for these, as "global_key", "global_value" and
        "global_real"; and with rotary positions, the number of real steps so far,
        "count" `(B,)`.

    Raises:
        ValueError: If a size or the window is not positive, the number of global tokens
            is negative, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import LocalAttention
    >>> layer = LocalAttention(num_heads=2, key_dim=8, window=3)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)
    >>> tuple(layer.initial_state(4)["key"].shape)
    (4, 2, 2, 8)

    Reference:
        [Beltagy et al., 2020](https://arxiv.org/abs/2004.05150)
    """

    cross_attention = False
    rotary = True
    counts_steps = True
    linear_time = True
    search_space: ClassVar[dict] = {"window": (128, 8, 32)}
    small_options: ClassVar[dict] = {"window": 8, "num_global_tokens": 2}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        window=128,
        num_global_tokens=0,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(window=window)
        checks.whole_number(num_global_tokens=num_global_tokens)
        self.window = window
        self.num_global_tokens = num_global_tokens

    def attend(self, call):
        return local_attention(
            call["query"],
            call["key"],
            call["value"],
            self.window,
            call.mask,
            call.dropout,
            call.return_weights,
            self.num_global_tokens,
        )

    @property
    def state_kind(self):
        return WindowCache(
            self.num_heads,
            self.key_dim,
            self.value_dim,
            self.window - 1,
            self.num_global_tokens,
            counts=self.turns,
        )

    def position_profile(self, length):
        return [profiles.seen_pairs(self, length)]

    def get_config(self):
        return {
            **super().get_config(),
            "window": self.window,
            "num_global_tokens": self.num_global_tokens,
        }
