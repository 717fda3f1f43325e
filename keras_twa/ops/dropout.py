"""Dropout of attention weights that any tile can recompute on its own.

The decision for the weight of query `i` on key `j` is a hash of the seed, the
row of the batch, `i` and `j`. So it does not depend on how the work is cut into
tiles, it need not be stored for the backward pass, and it is the same on every
backend.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops


@dataclass(frozen=True)
class WeightDropout:
    """Drops attention weights at random and scales up those that stay.

    Args:
        rate: Probability of dropping a weight, in (0, 1).
        seed: Integer tensor `(2,)`, a new one for each training step.
    """

    rate: float
    seed: Any

    def __call__(self, weights, rows, queries, keys):
        """Drops entries of one tile.

        Args:
            weights: `(g, t, s)`.
            rows: Integer `(g,)`: which batch-and-head rows these are.
            queries: Integer `(t,)`: which queries these are.
            keys: Integer `(s,)`: which keys these are.
        """
        by_query = _scramble(_scramble(queries) + self.seed[0])
        by_row = _scramble(_scramble(rows) + self.seed[1])
        by_key = _scramble(ops.bitwise_not(keys))
        left = _scramble(ops.bitwise_xor(by_row[:, None], by_query[None, :]))
        mixed = _scramble(ops.bitwise_xor(left[:, :, None], by_key[None, None, :]))
        # The top bit is the sign: what is left is uniform on 0 ... 2^31 - 1.
        uniform = ops.bitwise_and(mixed, 0x7FFFFFFF)
        kept = ops.greater_equal(uniform, int(self.rate * 2.0**31))
        scaled = ops.multiply(weights, 1.0 / (1.0 - self.rate))
        return ops.where(kept, scaled, ops.zeros((), dtype=weights.dtype))


def _scramble(x):
    """A 32-bit integer hash of full avalanche ("lowbias32", Wellons 2018)."""
    x = ops.bitwise_xor(x, _shift(x, 16))
    x = ops.multiply(x, 0x7FEB352D)
    x = ops.bitwise_xor(x, _shift(x, 15))
    # 0x846CA68B as a signed integer, since not every backend multiplies uint32.
    x = ops.multiply(x, 0x846CA68B - 2**32)
    return ops.bitwise_xor(x, _shift(x, 16))


def _shift(x, bits):
    """Logical right shift: the arithmetic one drags the sign in from the left."""
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)
