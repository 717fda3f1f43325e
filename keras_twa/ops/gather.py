"""Gathers steps of sequences by index."""

import math

from keras import ops


def steps_at(x, index):
    """Gathers the steps of each row at these indices.

    Each step is gathered as a whole, which is faster than element by element.

    Args:
        x: `(B, L, ...)`, where all sizes after the length are known.
        index: Integer `(B, n)`.

    Returns:
        `(B, n, ...)`.
    """
    batch, length, *rest = ops.shape(x)
    first = ops.arange(0, batch, dtype="int32")[:, None] * length
    index = ops.cast(index, "int32")
    flat = ops.reshape(x, (batch * length, math.prod(rest)))
    found = ops.take(flat, ops.reshape(index + first, (-1,)), axis=0)
    return ops.reshape(found, (batch, ops.shape(index)[1], *rest))
