"""Additive attention: the score of a pair is a small network."""

import keras

from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.ops import additive_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class AdditiveAttention(PairAttention):
    """Multi-head additive attention, that of Bahdanau.

    Per head: `softmax(w . tanh(q_i + k_j)) v_j`, with a learned vector `w`, queries
    `q = W_Q x` and keys `k = W_K x`.

    Luong's "concat", `w . tanh(W [q; k])`, is the same: a product with what is put
    together is the sum of two products.

    With one head and projections that leave everything as it is, this is
    `keras.layers.AdditiveAttention`, whose `scale` is `w`. That one holds a tensor of
    T S D numbers, and here there is none.

    Cost: O(T S D) time, O(T + S) memory. A pair costs D hyperbolic tangents, where that
    of dot-product attention costs D products.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
        use_bias: Whether projections have a bias. Defaults to `True`.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        kernel_initializer: Initializer of the projection kernels and of `w`.
        bias_initializer: Initializer of the projection biases.
        kernel_regularizer: Regularizer of the projection kernels and of `w`.
        bias_regularizer: Regularizer of the projection biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels and on `w`.
        bias_constraint: Constraint on the projection biases.
        seed: Seed of the dropout.
        positions: Must be `None`: it is not defined with positions inside.
        attention_axes: The axes that are attended, of inputs with more than three; see
            `DotProductAttention`. Defaults to all but batch and features.

    Call arguments:
        query: `(B, T, F)`, or with further axes of lengths `(B, ..., F)`.
        value: `(B, S, F)`. Defaults to `query`: self-attention.
        key: `(B, S, F)`. Defaults to `value`.
        query_mask: Boolean `(B, T)`, `True` for real steps.
        value_mask: Boolean `(B, S)`.
        key_mask: Boolean `(B, S)`.
        attention_mask: Boolean `(T, S)`, `(B, T, S)` or `(B, H, T, S)`, `True` to
            attend.
        return_attention_scores: Also return the weights. They need O(T S D) memory.
        training: Whether dropout is active.
        use_causal_mask: Whether query `i` sees only keys `j <= i + S - T`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Not used here.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Not used here.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs causal self-attention.
        return_state: Whether to return the state too: the keys and values so far.
        projected: What `project` made of a sequence, in the place of `value`, `key`,
            their masks and positions.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, that and the
        attention weights `(B, H, T, S)` in float32.

    Raises:
        ValueError: If a size is not positive, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import AdditiveAttention
    >>> layer = AdditiveAttention(num_heads=2, key_dim=8)
    >>> source, target = np.ones((4, 10, 16), "float32"), np.ones((4, 3, 12), "float32")
    >>> tuple(layer(target, source).shape)
    (4, 3, 12)

    Reference:
        [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473);
        [Luong et al., 2015](https://arxiv.org/abs/1508.04025) for "concat".
    """

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        options = self._dense_options()
        self.score_kernel = self.add_weight(
            shape=(self.num_heads, self.key_dim),
            initializer=options["kernel_initializer"],
            regularizer=options["kernel_regularizer"],
            constraint=options["kernel_constraint"],
            name="score_kernel",
        )

    def attend(self, call):
        return additive_attention(
            call["query"],
            call["key"],
            call["value"],
            self.score_kernel,
            call.mask,
            call.dropout,
            call.return_weights,
        )
