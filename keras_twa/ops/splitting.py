"""Cuts sequences into parts of equal size."""

from keras import ops


def even_size(part, size):
    """The smallest size of parts that needs no more parts than the size `part`."""
    count = -(-size // part)
    return -(-size // count)


def in_chunks(x, chunk):
    """`(rows, T, ...)` to `(chunks, rows, chunk, ...)`, the last padded with zeros."""
    rows, length, *rest = ops.shape(x)
    missing = -length % chunk
    if not isinstance(missing, int) or missing:
        x = ops.concatenate([x, ops.zeros((rows, missing, *rest), x.dtype)], axis=1)
    return ops.swapaxes(ops.reshape(x, (rows, -1, chunk, *rest)), 0, 1)
