"""Differential attention: the difference of two attention maps."""

import dataclasses
import math
from typing import ClassVar

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.states import KeyValueCache
from keras_twa.layers.quantized import in_float32
from keras_twa.ops import dot_product_attention

# The two attention maps of a head.
MAPS = 2
# As in the authors' code.
EPSILON = 1e-5
LAMBDA_DEVIATION = 0.1


@keras.saving.register_keras_serializable(package="keras_twa")
class DifferentialAttention(PairAttention):
    """Multi-head differential attention: the difference of two attention maps.

    The queries and keys of each head have two halves of width `d = D / 2`, which give
    two maps, `A1 = softmax(q1 k1^T / sqrt(d))` and `A2 = softmax(q2 k2^T / sqrt(d))`.
    Per head: `(1 - lambda_init) norm((A1 - lambda A2) V)`, where `norm` divides by the
    root mean square and has a learned scale for each channel.

    Attention that both maps pay to irrelevant keys cancels. The factor
    `lambda = exp(a1 . b1) - exp(a2 . b2) + lambda_init` has four learned vectors of
    width d, shared by all heads, and `lambda_init = 0.8 - 0.6 exp(-0.3 depth)`. The
    norm makes the size of the output independent of `lambda`.

    Both maps share the values, which are twice as wide as the half of a query. So the
    layer has as many weights as dot-product attention with the same `num_heads`,
    `key_dim` and `value_dim`, except for the four vectors and one scale. To follow the
    paper, use half as many heads as for dot-product attention, twice as wide.

    Positions inside the attention apply to each map: rotary positions rotate both
    halves alike, and a position bias is added to the scores of both maps.

    Cost: O(T S D) time, O(T + S) memory. Both maps are heads of one call of the fused
    kernel, which takes twice as long as for dot-product attention.

    Args:
        key_dim: Width D of each head's queries and keys, an even number: each of the
            two maps takes half of the channels.
        depth: Number of attention layers below this one. It determines `lambda_init`,
            from 0.2 at depth 0 to nearly 0.8. In a model with several blocks, pass a
            list with one text per block, such as `"differential(depth=1)"`. Defaults
            to 0.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the difference of
        the two attention maps `(B, H, T, S)` in float32, which may be negative; with
        `return_state`, also the state, a dictionary of tensors.

    Raises:
        ValueError: If a size is not positive, `key_dim` is odd, `depth` is negative, or
            a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import DifferentialAttention
    >>> layer = DifferentialAttention(num_heads=2, key_dim=8, depth=3)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> outputs, maps = layer(x, use_causal_mask=True, return_attention_scores=True)
    >>> tuple(outputs.shape), tuple(maps.shape)
    ((4, 10, 16), (4, 2, 10, 10))

    Reference:
        [Ye et al., 2024](https://arxiv.org/abs/2410.05258)
    """

    rotary = True
    position_bias = True
    search_space: ClassVar[dict] = {"depth": (0, 2, 8)}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        depth=0,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_even_integer(key_dim=key_dim)
        checks.whole_number(depth=depth)
        self.depth = depth
        self.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * depth)
        self.norm = keras.layers.RMSNormalization(
            epsilon=EPSILON, dtype=in_float32(self.dtype_policy), name="norm"
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.norm.build((None, None, self.num_heads, self.value_dim))
        # Two vectors for each map.
        self.lambda_kernel = self.add_weight(
            shape=(MAPS, 2, self.key_dim // MAPS),
            initializer=keras.initializers.RandomNormal(stddev=LAMBDA_DEVIATION),
            autocast=False,
            name="lambda_kernel",
        )

    def match(self, heads):
        """Makes a head of each map."""
        return {**heads, **{name: _divided(heads[name]) for name in ("query", "key")}}

    @property
    def state_kind(self):
        heads, width = MAPS * self.num_heads, self.key_dim // MAPS
        *_, value = self.projections()
        return KeyValueCache((Projection("key", "key", heads, width), value))

    def pair_bias(self, call):
        whole = {name: _joined(call[name]) for name in ("query", "key")}
        bias = super().pair_bias(call.replace(heads={**call.heads, **whole}))
        return None if bias is None else bias.repeated(MAPS)

    def attend(self, call):
        mask, pairs = call.mask, call.mask.pairs
        if pairs is not None and pairs.shape[1] != 1:
            mask = dataclasses.replace(mask, pairs=ops.repeat(pairs, MAPS, axis=1))
        found = dot_product_attention(
            call["query"],
            call["key"],
            ops.repeat(call["value"], MAPS, axis=2),
            mask=mask,
            dropout=call.dropout,
            return_weights=call.return_weights,
            pair_bias=self.pair_bias(call),
        )
        outputs, maps = found if call.return_weights else (found, None)
        outputs = self.norm(self._difference(outputs, 2)) * (1.0 - self.lambda_init)
        outputs = ops.cast(outputs, call["value"].dtype)
        return (outputs, self._difference(maps, 1)) if call.return_weights else outputs

    def _difference(self, x, axis):
        """The difference of both maps of each head, float32.

        Args:
            x: A tensor with the maps of all heads along an axis.
            axis: The axis.
        """
        shape = ops.shape(x)
        shape = (*shape[:axis], self.num_heads, MAPS, *shape[axis + 1 :])
        both = ops.reshape(ops.cast(x, "float32"), shape)
        first, second = ops.unstack(both, MAPS, axis=axis + 1)
        return first - self._subtracted() * second

    def _subtracted(self):
        """`lambda`, the factor of the second map."""
        vectors = ops.cast(self.lambda_kernel, "float32")
        factors = ops.exp(ops.sum(vectors[:, 0] * vectors[:, 1], axis=-1))
        return factors[0] - factors[1] + self.lambda_init

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


def _divided(x):
    """`(B, T, H, D)` as `(B, T, 2 H, D / 2)`."""
    batch, steps, heads, width = ops.shape(x)
    return ops.reshape(x, (batch, steps, MAPS * heads, width // MAPS))


def _joined(x):
    """`(B, T, 2 H, D / 2)` as `(B, T, H, D)`."""
    batch, steps, heads, width = ops.shape(x)
    return ops.reshape(x, (batch, steps, heads // MAPS, MAPS * width))
