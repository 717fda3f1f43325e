"""Forces that fall with any distance, by a power law or faster."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops.softmax.scores import LOG_MASS_LIMIT


@dataclass(frozen=True)
class ForceByDistance:
    """`m_q m_k exp(-rho / length) / rho^exponent`, or its logarithm.

    Here `rho^2 = r^2 + softening^2`. Without a screening length, there is no
    exponential.

    Args:
        distance: One of those in `distances.py`.
        exponent: Power of the distance.
        softening: Distance added in quadrature.
        log: Whether the score is the logarithm of the force.
    """

    distance: Any
    exponent: float
    softening: float
    log: bool = False

    def prepare(self, query, key, log_query_mass, log_key_mass, log_length=None):
        """Computes what the score needs, once for each token.

        Args:
            query: `(B, T, H, D)`.
            key: `(B, S, H, D)`.
            log_query_mass: `(B, T, H, 1)`, which includes any constant of gravity.
            log_key_mass: `(B, S, H, 1)`.
            log_length: Logarithms of the screening lengths, `(H, 1)`, or `None`.

        Returns:
            Two dictionaries of tensors for `tiled_attention`.
        """
        query, key = self.distance.prepare(query, key)
        queries = {"query": query, **self._mass(log_query_mass[..., 0])}
        keys = {"key": key, **self._mass(log_key_mass[..., 0])}
        if log_length is not None:
            rate = ops.exp(-log_length[:, 0])
            queries["rate"] = ops.ones_like(log_query_mass[..., 0]) * rate
        return queries, keys

    def width(self, dim):
        """How many numbers the score holds for a pair, for queries of width `dim`."""
        return self.distance.width(dim)

    def __call__(self, query, key):
        least = self.softening**2
        squared = self.distance(query["query"], key["key"]) + least
        # Rounding may make it less than it is at a distance of zero.
        squared = ops.maximum(squared, least)
        fall = ops.log(squared) * (-0.5 * self.exponent)
        if "rate" in query:
            fall = fall - ops.sqrt(squared) * query["rate"][..., None]
        if self.log:
            return fall + key["log_mass"][:, None, :] + query["log_mass"][..., None]
        return ops.exp(fall) * query["mass"][..., None] * key["mass"][:, None, :]

    def _mass(self, log_mass):
        if self.log:
            return {"log_mass": log_mass}
        # Products of two masses stay below the largest float32.
        bounded = ops.clip(log_mass, -LOG_MASS_LIMIT, LOG_MASS_LIMIT)
        return {"mass": ops.exp(bounded)}
