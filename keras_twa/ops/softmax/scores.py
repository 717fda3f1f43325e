"""Scores of a tile of queries and a tile of keys, in float32.

Functions and scores alike take `(g, t, D)` of queries and `(g, D, S)` of keys, or
`(g, t)` and `(g, S)`, and return `(g, t, S)`. Scores are values: equal scores compute
the same, so that they share compiled code.
"""

import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend

# With masses outside e^-30 ... e^30, forces or their inverses could overflow float32.
LOG_MASS_LIMIT = 30.0
LEAST_LOG_FADE = -60.0
# The minimum of no numbers.
LARGEST = 3e38


def inner_product(query, key):
    """`q . k` for every pair."""
    return backend.matmul(ops.cast(query, "float32"), ops.cast(key, "float32"))


def squared_distance(query, key):
    """`|q - k|^2` for every pair, never negative.

    Expanded to `|q|^2 + |k|^2 - 2 q.k`, so that the work is one matrix product
    and no `(t, S, D)` tensor exists; rounding could make it slightly negative
    for coincident points, hence the floor.
    """
    query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    query_norm = ops.sum(ops.square(query), axis=-1, keepdims=True)
    key_norm = ops.sum(ops.square(key), axis=-2, keepdims=True)
    return ops.relu(query_norm + key_norm - 2.0 * inner_product(query, key))


def distance_vectors(query, key, softened=0.0):
    """Vectors whose inner product is `|q - k|^2 + softened`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`.
        softened: What is added to each squared distance.

    Returns:
        `(B, T, H, D + 2)` and `(B, S, H, D + 2)`, both float32.
    """
    query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    # Distances do not depend on the origin, but their accuracy does.
    origin = ops.stop_gradient(ops.sum(key[:, :1], axis=1, keepdims=True))
    query, key = query - origin, key - origin
    query_norm = ops.sum(ops.square(query), axis=-1, keepdims=True)
    key_norm = ops.sum(ops.square(key), axis=-1, keepdims=True)
    query = [-2.0 * query, query_norm + softened, ops.ones_like(query_norm)]
    key = [key, ops.ones_like(key_norm), key_norm]
    return ops.concatenate(query, axis=-1), ops.concatenate(key, axis=-1)


def lag(query_positions, key_positions):
    """`t_i - t_j` for every pair."""
    return ops.subtract(
        ops.expand_dims(query_positions, axis=-1),
        ops.expand_dims(key_positions, axis=-2),
    )


def times_of(positions, length):
    """The given positions, or 0, 1, 2, ...: float32 `(B or 1, length)`."""
    if positions is not None:
        return positions
    return ops.arange(0, length, dtype="float32")[None]


def earliest(times, real=None):
    """The time of the earliest real step, float32 `(B or 1, 1)`; 0 if there is none.

    Args:
        times: Float32 `(B or 1, T)`.
        real: Boolean `(B, T)`, or `None` for all.
    """
    if real is not None:
        times = ops.where(real, times, math.inf)
    # There may be no step at all, or no row.
    padded = ops.pad(times, [[0, 1], [0, 1]], constant_values=math.inf)
    found = ops.min(padded, axis=1, keepdims=True)[:-1]
    return ops.where(ops.less(found, math.inf), found, 0.0)


@dataclass(frozen=True)
class InnerProduct:
    """`q . k`, plus the key's `bias` if there is one.

    Args:
        cap: Bounds the inner product as `cap * tanh(q . k / cap)`; `None` for no bound.
    """

    cap: float | None = None

    def __call__(self, query, key):
        logits = inner_product(query["query"], key["key"])
        if self.cap is not None:
            logits = ops.tanh(logits * (1.0 / self.cap)) * self.cap
        return logits + key["bias"][:, None, :] if "bias" in key else logits


@dataclass(frozen=True)
class Force:
    """`m_q m_k / (|q - k|^2 + softening^2)^(exponent / 2)`, or its logarithm.

    `prepare` computes what the score needs from masses and vectors, once for each token
    instead of once for each pair.

    Args:
        exponent: Power of the distance.
        softening: Distance added in quadrature.
        log: Whether the score is the logarithm of the force.
    """

    exponent: float
    softening: float
    log: bool = False

    def prepare(self, query, key, log_query_mass, log_key_mass):
        """Folds norms and masses into the vectors.

        The inner product of the results is
        `(|q - k|^2 + softening^2) (m_q m_k)^(-2 / exponent)`. For the logarithm, the
        masses stay separate, where they cannot overflow.

        Args:
            query: `(B, T, H, D)`.
            key: `(B, S, H, D)`.
            log_query_mass: `(B, T, H, 1)`, which includes any constant of gravity.
            log_key_mass: `(B, S, H, 1)`.

        Returns:
            Two dictionaries of tensors for `tiled_attention`.
        """
        query, key = distance_vectors(query, key, self.softening**2)
        if self.log:
            return (
                {"query": query, "log_mass": log_query_mass[..., 0]},
                {"key": key, "log_mass": log_key_mass[..., 0]},
            )
        query, key, floor = self._weighed(query, key, log_query_mass, log_key_mass)
        return {"query": query, "floor": floor}, {"key": key}

    def vectors(self, query, key):
        """Vectors whose inner product alone determines the force or its logarithm.

        Args:
            query: The result of `prepare` for the queries.
            key: The result of `prepare` for the keys.

        Returns:
            Vectors `(B, T, H, D)` and `(B, S, H, D)`, whose inner product is the force
            to the power of `-2 / exponent`, and the least value of that product
            `(B, T, H, 1)`, a constant.
        """
        if not self.log:
            return query["query"], key["key"], query["floor"]
        masses = query["log_mass"][..., None], key["log_mass"][..., None]
        return self._weighed(query["query"], key["key"], *masses)

    def __call__(self, query, key):
        product = inner_product(query["query"], key["key"])
        if self.log:
            distance = ops.maximum(product, self.softening**2)
            fall = ops.log(distance) * (-0.5 * self.exponent)
            return fall + key["log_mass"][:, None, :] + query["log_mass"][..., None]
        if self.exponent == 2:
            return backend.floored_inverse(product, query["floor"])
        power = ops.log(ops.maximum(product, query["floor"])) * (-0.5 * self.exponent)
        return ops.exp(power)

    def _weighed(self, query, key, log_query_mass, log_key_mass):
        """Vectors that include the masses, and their least inner product."""
        query_scale = self._inverse_mass(log_query_mass)
        key_scale = self._inverse_mass(log_key_mass)
        # Rounding may make the product less than it is at a distance of zero.
        # Only tensors that may be empty get an initial value: ONNX has no such minimum.
        may_be_empty = {0, None} & {*key_scale.shape}
        start = {"initial": LARGEST} if may_be_empty else {}
        least = ops.min(key_scale, axis=1, keepdims=True, **start)
        least = least * self.softening**2
        floor = ops.stop_gradient(query_scale * least)
        return query * query_scale, key * key_scale, floor

    def _inverse_mass(self, log_mass):
        bounded = ops.clip(log_mass, -LOG_MASS_LIMIT, LOG_MASS_LIMIT)
        return ops.exp(bounded * (-2.0 / self.exponent))


@dataclass(frozen=True)
class Discounted:
    """A score that fades with time: `score * gamma^|t_q - t_k|`.

    Queries carry `fade`, the discount of each pair `(g, t, S)`. Or they carry `time`
    and `log_discount`, both `(g, t)`, and keys `time`.

    Args:
        score: The score without the discount.
        adds: Whether `|t_q - t_k| log(gamma)` is added instead, which is equivalent for
            the logarithm of a score.
    """

    score: Any
    adds: bool

    def __call__(self, query, key):
        logits = self.score(query, key)
        fade = query.get("fade")
        if fade is None:
            distance = ops.absolute(lag(query["time"], key["time"]))
            fade = self.fade(distance, query["log_discount"][..., None])
        return logits + fade if self.adds else logits * fade

    def fade(self, distance, log_discount):
        """The factor on the score of pairs at a distance, or the term added to it."""
        log_fade = distance * log_discount
        if self.adds:
            return log_fade
        # Smaller factors change nothing, but denormal numbers cost a lot of time.
        return ops.exp(ops.maximum(log_fade, LEAST_LOG_FADE))
