"""Scaled dot-product attention, the conventional baseline."""

import keras

from keras_twa.layers.attention.base import Attention
from keras_twa.ops import dot_product_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class DotProductAttention(Attention):
    """Multi-head scaled dot-product attention.

    Per head: `softmax(Q K^T / sqrt(D)) V`.

    Computes what `keras.layers.MultiHeadAttention` does, with the same weights,
    and differs where that one is wasteful or loose: memory is linear in the
    length on every backend, a row that sees no key gives 0 instead of the mean
    of all values, and padding cannot reach the output even when it holds NaN.

    Cost: O(T S D) time, O(T + S) memory.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
            Defaults to 0.
        use_bias: Whether projections have a bias. Defaults to `True`.
        output_shape: Width (or shape) of the output. Defaults to the query's.
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
        value: `(B, S, F)`. Defaults to `query`: self-attention.
        key: `(B, S, F)`. Defaults to `value`.
        query_mask: Boolean `(B, T)`, `True` for real steps.
        value_mask: Boolean `(B, S)`.
        key_mask: Boolean `(B, S)`.
        attention_mask: Boolean `(B, T, S)` or `(B, H, T, S)`, `True` to attend.
        return_attention_scores: Also return the weights. They need O(T S) memory.
        training: Whether dropout is active.
        use_causal_mask: Whether query `i` sees only keys `j <= i + S - T`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Not used here.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Not used here.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs causal self-attention.
        return_state: Whether to return the state too: the keys and values so far.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, that and the
        attention weights `(B, H, T, S)` in float32.

    Raises:
        ValueError: If a size is not positive, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import DotProductAttention
    >>> layer = DotProductAttention(num_heads=2, key_dim=8)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
    """

    def attend(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
    ):
        return dot_product_attention(
            heads["query"],
            heads["key"],
            heads["value"],
            mask,
            dropout=dropout,
            return_weights=return_weights,
        )
