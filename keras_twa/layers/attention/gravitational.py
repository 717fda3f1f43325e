"""Gravitational attention: tokens attract one another like masses."""

from typing import ClassVar

import keras

from keras_twa.layers.attention.gravity import Gravity
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.ops import biased
from keras_twa.ops import tiled_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class GravitationalAttention(PairAttention):
    """Multi-head attention by Newton's law of gravity.

    Per head, query `i` is drawn to key `j` by the force
    `F = G m_i m_j / (r^2 + softening^2)^(exponent / 2)`, with `r = |q_i - k_j|`,
    masses `m = softplus(projection) > 0` learned from the tokens, and a learned
    `G > 0`. The output is `softmax(F) V`.

    With `normalization="force"`, the weights are the forces divided by their sum. Then
    `m_i` and `G` cancel: they have no effect and no gradient, and only key masses and
    distances matter.

    `metric` is another distance `r`:

    - "manhattan": `sum_c |q_c - k_c|`.
    - "cosine": `|q / |q| - k / |k||`, so that `r^2 = 2 - 2 cos(q, k)`. A vector of
      zeros has the distance 1 to all others.
    - "hyperbolic": `arccosh(sqrt(1 + |x|^2) sqrt(1 + |y|^2) - x . y)` with
      `x = q / sqrt(D)` and `y = k / sqrt(D)`, in the Lorentz model.
    - "mahalanobis": `sqrt(sum_c s_c (q_c - k_c)^2)`, with a learned `s > 0` for each
      head and channel that starts at 1.

    `law="yukawa"` is a screened force: `F = G m_i m_j exp(-R / L) / R^exponent`, with
    `R^2 = r^2 + softening^2` and a learned screening length `L > 0` for each head. So
    the exponential is softened, too: `exp(-r / L)` would have a kink at `r = 0`.

    Cost: O(T S D) time, O(T + S) memory. A pair costs D products; with "manhattan" or
    a function as `metric`, it costs D differences, which take several times as long,
    and attention weights, if requested, need O(T S D) memory.

    Args:
        exponent: How fast the force falls with distance. Defaults to 2.
        softening: Distance below which the force stops growing, so that
            coincident points attract finitely (Plummer). Defaults to 0.5.
        normalization: "softmax" (default) or "force".
        gravity: Initial G of every head. By default, forces differ noticeably at any
            `key_dim`: with 1, the softmax is almost uniform. For Newton's law with
            "euclidean", "mahalanobis" or a function, it is `2 key_dim`. Otherwise,
            masses of 1 attract with a force of 1 at the typical distance: `key_dim` for
            "manhattan", 2 for "cosine", `sqrt(2)` for "hyperbolic", and else
            `sqrt(2 key_dim)`.
        metric: "euclidean" (default), "manhattan", "cosine", "hyperbolic",
            "mahalanobis", or a function from float32 queries `(g, t, D)` and keys
            `(g, D, S)`, a few at a time, to `r^2`, `(g, t, S)`. It may hold D numbers
            for a pair. To save the layer, register it with
            `keras.saving.register_keras_serializable`.
        law: "newton" (default) or "yukawa".
        screening_length: Initial screening length of every head, only for "yukawa".
            Defaults to the typical distance, where the force is then 1/e of Newton's:
            at any `key_dim`, it neither vanishes nor stays unscreened.

    Raises:
        ValueError: If a size, `exponent`, `softening`, `gravity` or `screening_length`
            is not positive, `normalization`, `metric` or `law` is unknown, rotary
            positions meet "manhattan" or "mahalanobis", which rotations change, or a
            shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import GravitationalAttention
    >>> layer = GravitationalAttention(num_heads=2, key_dim=8, exponent=1)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x).shape)
    (4, 10, 16)

    Reference:
        [Kim et al., 2021](https://arxiv.org/abs/2006.04710) for attention by distance
        instead of the dot product;
        [Nickel and Kiela, 2018](https://arxiv.org/abs/1806.03417) for the Lorentz model
        and [Gulcehre et al., 2019](https://arxiv.org/abs/1805.09786) for attention by
        hyperbolic distance.
    """

    rotary = True
    position_bias = True
    search_space: ClassVar[dict] = {
        "exponent": (2.0, 1.0, 3.0),
        "softening": (0.5, 0.1, 2.0),
        "normalization": ("softmax", "force"),
        "metric": ("euclidean", "cosine", "hyperbolic", "mahalanobis"),
        "law": ("newton", "yukawa"),
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
        metric="euclidean",
        law="newton",
        screening_length=None,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        self.gravity = Gravity(
            num_heads,
            key_dim,
            metric,
            law,
            exponent,
            softening,
            normalization,
            gravity,
            screening_length,
            name="gravity",
        )
        self.gravity.check_positions(self)

    def projections(self):
        return (
            *super().projections(),
            Projection("query_mass", "query", self.num_heads, 1),
            Projection("key_mass", "key", self.num_heads, 1),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.gravity.build()

    def attend(self, call):
        query, key = self.gravity(
            call["query"], call["key"], call["query_mass"], call["key_mass"]
        )
        score, query, key = biased(
            self.gravity.force,
            query,
            key,
            self.pair_bias(call),
        )
        return tiled_attention(
            score,
            query,
            key,
            call["value"],
            call.mask,
            call.dropout,
            call.return_weights,
            width=self.gravity.width,
        )

    def position_profile(self, length):
        return [self.gravity.forces(self, length)]

    def example_weights(self):
        return [(self.gravity.log_gravity, [[2.0], [3.0]])]

    def get_config(self):
        return {**super().get_config(), **self.gravity.options()}
