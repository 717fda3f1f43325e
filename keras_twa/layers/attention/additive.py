"""Additive attention: a small network scores each pair of query and key."""

import keras

from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.ops import additive_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class AdditiveAttention(PairAttention):
    """Multi-head additive (Bahdanau) attention.

    Per head: `softmax(w . tanh(q_i + k_j)) v_j`, with a learned vector `w`, queries
    `q = W_Q x` and keys `k = W_K x`.

    Luong's "concat" score, `w . tanh(W [q; k])`, is the same: the product of `W` with
    the concatenation is the sum of a product with `q` and one with `k`.

    With one head and identity projections, this is `keras.layers.AdditiveAttention`,
    whose `scale` is `w`. The Keras layer holds a tensor of T S D numbers; this one does
    not.

    Cost: O(T S D) time, O(T + S) memory. A pair costs D hyperbolic tangents; in
    dot-product attention, it costs D products.

    Args:
        kernel_initializer: Initializer of the projection kernels and of `w`.
        kernel_regularizer: Regularizer of the projection kernels and of `w`.
        kernel_constraint: Constraint on the projection kernels and on `w`.

    Call arguments:
        return_attention_scores: Whether to return the attention weights too. They need
            O(T S D) memory.

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
