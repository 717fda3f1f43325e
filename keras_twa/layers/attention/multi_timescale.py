"""Multi-timescale attention: the same sequence seen through several discounts."""

from typing import ClassVar

import keras
from keras import ops

from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.timescales import DISCOUNTS_TO_SEARCH
from keras_twa.layers.attention.timescales import Timescales
from keras_twa.ops import InnerProduct


@keras.saving.register_keras_serializable(package="keras_twa")
class MultiTimescaleAttention(Attention):
    """Multi-head attention at several timescales, read by a learned decoder.

    For each discount `gamma`, with queries, keys and values of its own:
    `softmax((Q K^T / sqrt(D)) * gamma^|t_i - t_j|) V`. A decoder, the learned
    counterpart of an inverse Laplace transform, combines the timescales.

    Note what the product does: a far score fades to 0, not to minus infinity, so
    far keys keep the weight of an average key. `discount="additive"` computes
    `softmax(Q K^T / sqrt(D) + |t_i - t_j| log gamma) V`, where far keys do fade.

    Cost, with N discounts: O(N T S D) time, O(N (T + S)) memory. In self-attention
    without positions, dropout or pairwise mask, a fixed discount that has faded within
    a quarter of the sequence takes O(T) time: farther scores are below 1e-6 where they
    are at most 1000, and count as 0. An added discount ends at 128 nats.

    Args:
        num_heads: Number of heads H, for each timescale.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
        use_bias: Whether projections have a bias.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        discounts: Discount per unit of time of each timescale, in (0, 1).
            Defaults to (0.6, 0.9, 0.99).
        trainable_discounts: Whether they are learned. Defaults to `False`.
        discount: "multiplicative" (the definition) or "additive".
        kernel_initializer: Initializer of the projection kernels.
        bias_initializer: Initializer of the projection biases.
        kernel_regularizer: Regularizer of the projection kernels.
        bias_regularizer: Regularizer of the projection biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels.
        bias_constraint: Constraint on the projection biases.
        seed: Seed of the dropout.
        positions: "rotary", or such a layer: positions inside of the attention.
            Defaults to `None`.
        attention_axes: The axes that are attended, of inputs with more than three; see
            `DotProductAttention`. Defaults to all but batch and features.

    Call arguments:
        query: `(B, T, F)`, or with further axes of lengths `(B, ..., F)`.
        value: `(B, S, F)`. Defaults to `query`: self-attention.
        key: `(B, S, F)`. Defaults to `value`.
        query_mask: Boolean `(B, T)`, `True` for real steps.
        value_mask: Boolean `(B, S)`.
        key_mask: Boolean `(B, S)`.
        attention_mask: Boolean `(B, T, S)` or `(B, H', T, S)`, `True` to attend.
        return_attention_scores: Also return the weights. They need O(T S) memory.
        training: Whether dropout is active.
        use_causal_mask: Whether query `i` sees only keys `j <= i + S - T`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Defaults to
            0 ... T-1.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Defaults to those of
            the queries in self-attention, else to 0 ... S-1.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs causal self-attention.
        return_state: Whether to return the state too: the keys and values so far.
        projected: What `project` made of a sequence, in the place of `value`, `key`,
            their masks and positions.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, that and the
        attention weights `(B, H', T, S)` in float32, where `H'` is the number
        of discounts times `num_heads`: all heads of the first discount first.

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
            dtype=self.dtype_policy,
            name="timescales",
        )

    def projections(self):
        heads = self.timescales.num_timescales * self.num_heads
        return (
            Projection("query", "query", heads, self.key_dim),
            Projection("key", "key", heads, self.key_dim),
            Projection("value", "value", heads, self.value_dim),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.timescales.build((None, None, None, self.value_dim))

    def attend(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
    ):
        query = ops.cast(heads["query"], "float32") * self.key_dim**-0.5
        return self.timescales.attend(
            InnerProduct(),
            {"query": query},
            {"key": heads["key"]},
            heads["value"],
            query_positions=query_positions,
            key_positions=key_positions,
            mask=mask,
            dropout=dropout,
            return_weights=return_weights,
        )

    def position_profile(self, length):
        return [self.timescales.fading(length)]

    def get_config(self):
        return {**super().get_config(), **self.timescales.options()}
