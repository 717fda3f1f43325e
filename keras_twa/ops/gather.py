"""Steps of sequences by their numbers."""

import math

from keras import ops


def steps_at(x, index):
    """The steps of each row with such numbers.

    Rows are gathered whole, which is faster than one number after the other.

    Args:
        x: `(B, L, ...)` with known sizes behind the length.
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
