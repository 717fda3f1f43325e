"""Local attention: each step sees the steps around it."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention import cache
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.streaming import Slot
from keras_twa.layers.attention.streaming import Streaming
from keras_twa.masks import AttentionMask
from keras_twa.ops import local_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class LocalAttention(Attention):
    """Multi-head softmax attention within a sliding window.

    Per head, `softmax(q_i . k_j / sqrt(D)) v_j` over the keys with `|i - j| < window`,
    and `j <= i` under a causal mask. A window counts the step itself: with `window=1` a
    step sees nothing else. It counts steps, not their times.

    Scores outside the window are not computed, unless the length is unknown or weights
    are dropped, returned, or masked pair by pair.

    Cost: O(T window D) time, O(T) memory; otherwise O(T^2 D) time. Decoding holds the
    keys and values of `window - 1` steps.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
        use_bias: Whether projections have a bias. Defaults to `True`.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        window: How many steps back a step sees, itself among them, and as many ahead
            unless the call is causal. Defaults to 128.
        kernel_initializer: Initializer of the projection kernels.
        bias_initializer: Initializer of the projection biases.
        kernel_regularizer: Regularizer of the projection kernels.
        bias_regularizer: Regularizer of the projection biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels.
        bias_constraint: Constraint on the projection biases.
        seed: Seed of the dropout.

    Call arguments:
        query: `(B, T, F)`.
        value: The query. Defaults to `query`: there is self-attention only.
        key: The query. Defaults to `value`.
        query_mask: Boolean `(B, T)`, `True` for real steps.
        value_mask: Boolean `(B, T)`.
        key_mask: Boolean `(B, T)`.
        attention_mask: Boolean `(B, T, T)` or `(B, H, T, T)`, `True` to attend.
        return_attention_scores: Also return the weights. They need O(T^2) memory.
        training: Whether dropout is active.
        use_causal_mask: Whether a step sees only itself and steps before.
        query_positions: Times of the steps, `(T,)` or `(B, T)`. Not used here.
        key_positions: The times of the steps. Not used here.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs a causal call.
        return_state: Whether to return the state too.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, T)` in float32; with `return_state`, also the state: "key"
        and "value" `(B, window - 1, H, width)`, and which of them are "real".

    Raises:
        ValueError: If a size or the window is not positive, or a shape does not fit.

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

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        window=128,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(window=window)
        self.window = window

    def attend(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
    ):
        return local_attention(
            heads["query"],
            heads["key"],
            heads["value"],
            self.window,
            mask,
            dropout,
            return_weights,
        )

    def extend(self, state, heads, mask, positions):
        held, heads = cache.join(state, heads, mask)
        # What is not real is not seen: so is what the first window begins with.
        mask = AttentionMask(True, mask.queries, held["real"])
        first = ops.shape(held["real"])[1] - (self.window - 1)
        held = {name: x[:, first:] for name, x in held.items()}
        return held, heads, mask, positions, None

    def state_spec(self, dtype=None, max_length=None):
        held, dtype = self.window - 1, dtype or self.compute_dtype
        return {
            "key": Slot((held, self.num_heads, self.key_dim), dtype),
            "value": Slot((held, self.num_heads, self.value_dim), dtype),
            "real": Slot((held,), "bool"),
        }

    next_state_shapes = Streaming.next_state_shapes

    def get_config(self):
        return {**super().get_config(), "window": self.window}
