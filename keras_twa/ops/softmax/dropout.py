"""Dropout of attention weights that any tile can recompute on its own.

The decision for the weight of query `i` on key `j` is a hash of the seed, the
row of the batch, `i` and `j`. So it does not depend on how the work is cut into
tiles, it need not be stored for the backward pass, and it is the same on every
backend.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend


@dataclass(frozen=True)
class WeightDropout:
    """Drops attention weights at random and scales up those that stay.

    Args:
        rate: Probability of dropping a weight, in (0, 1).
        seed: Integer tensor `(2,)`, a new one for each training step.
    """

    rate: float
    seed: Any

    def query_bits(self, rows, queries):
        """Well-mixed integers for each row and query.

        Args:
            rows: Indices of the pairs of batch element and head, integer `(rows,)`.
            queries: Indices of the queries, integer `(T,)`.

        Returns:
            Integer `(rows, T)`.
        """
        by_row = _scramble(_scramble(rows) + self.seed[1])
        by_query = _scramble(_scramble(queries) + self.seed[0])
        return _scramble(ops.bitwise_xor(by_row[:, None], by_query[None, :]))

    def kept(self, query_bits, keys):
        """Decides which weights of one tile to keep, in the form for `backend.keep`.

        Args:
            query_bits: A part of the result of `query_bits`, integer `(g, t)`.
            keys: Indices of the keys, integer `(1, s)` or `(g, s)`.
        """
        key_bits = _scramble(ops.bitwise_not(keys))
        return backend.kept(query_bits, key_bits, int((1.0 - self.rate) * 2.0**31))

    @property
    def scale(self):
        """The factor that compensates for dropped weights."""
        return 1.0 / (1.0 - self.rate)


def _scramble(x):
    """A 32-bit integer hash with full avalanche ("lowbias32", Wellons 2018)."""
    x = ops.bitwise_xor(x, _shift(x, 16))
    x = ops.multiply(x, 0x7FEB352D)
    x = ops.bitwise_xor(x, _shift(x, 15))
    # 0x846CA68B as a signed integer, since not every backend multiplies uint32.
    x = ops.multiply(x, 0x846CA68B - 2**32)
    return ops.bitwise_xor(x, _shift(x, 16))


def _shift(x, bits):
    """Logical right shift; the arithmetic one would copy the sign bit."""
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)
