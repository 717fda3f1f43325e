"""Gravitational attention: tokens attract one another as masses do."""

from typing import ClassVar

import keras

from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.gravity import Gravity
from keras_twa.layers.attention.projection import Projection
from keras_twa.ops import biased
from keras_twa.ops import tiled_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class GravitationalAttention(Attention):
    """Multi-head attention by Newton's law of gravity.

    Per head, query `i` is drawn to key `j` by the force
    `F = G m_i m_j / (r^2 + softening^2)^(exponent / 2)`, with `r = |q_i - k_j|`,
    masses `m = softplus(projection) > 0` learned from the tokens, and a learned
    `G > 0`. The output is `softmax(F) V`.

    With `normalization="force"` the weights are the forces over their sum. Then
    `m_i` and `G` stand in numerator and denominator alike and cancel: they have
    no effect and get no gradient, and only key masses and distances matter.

    Cost: O(T S D) time, O(T + S) memory.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
        use_bias: Whether projections have a bias.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        exponent: How fast the force falls with distance. Defaults to 2.
        softening: Distance below which the force stops growing, so that
            coincident points attract finitely (Plummer). Defaults to 0.5.
        normalization: "softmax" (default) or "force".
        gravity: Initial G of every head. Defaults to `key_dim`, about where
            forces start to differ: with 1 the softmax is almost uniform.
        kernel_initializer: Initializer of the projection kernels.
        bias_initializer: Initializer of the projection biases.
        kernel_regularizer: Regularizer of the projection kernels.
        bias_regularizer: Regularizer of the projection biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels.
        bias_constraint: Constraint on the projection biases.
        seed: Seed of the dropout.
        positions: "rotary", "alibi", "t5", "shaw", or such a layer: positions inside
            of the attention. Defaults to `None`.
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
        return_attention_scores: Also return the weights. They need O(T S) memory.
        training: Whether dropout is active.
        use_causal_mask: Whether query `i` sees only keys `j <= i + S - T`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. For `positions` only,
            0 ... T-1 by default.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Likewise.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs causal self-attention.
        return_state: Whether to return the state too: the keys and values so far.
        projected: What `project` made of a sequence, in the place of `value`, `key`,
            their masks and positions.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, that and the
        attention weights `(B, H, T, S)` in float32.

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
        [Kim et al., 2021](https://arxiv.org/abs/2006.04710) for attention by
        distance in place of the dot product.
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

    def attend(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
    ):
        query, key = self.gravity(
            heads["query"], heads["key"], heads["query_mass"], heads["key_mass"]
        )
        score, query, key = biased(
            self.gravity.law,
            query,
            key,
            self.pair_bias(heads, query_positions, key_positions),
        )
        return tiled_attention(
            score, query, key, heads["value"], mask, dropout, return_weights
        )

    def position_profile(self, length):
        return [self.gravity.forces(self, length)]

    def example_weights(self):
        return [(self.gravity.log_gravity, [[2.0], [3.0]])]

    def get_config(self):
        return {**super().get_config(), **self.gravity.options()}
