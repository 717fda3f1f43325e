"""Scores of pairs of steps, whose channels decay from one step to the other.

The score of step `i` for step `j` is the sum over channels of `q_i k_j` times the
decays of the steps `j + 1` to `i`. Relative to a boundary between the two steps, these
decays are a factor of `q_i` and a factor of `k_j`, both at most 1. So a matrix product
computes the scores of a second half for the first half of a chunk, and nothing
overflows. The same holds within each half, down to single steps. Logarithms of decays
are never subtracted, so that fast decays cost no digits of slow ones.
"""

from keras import ops

from keras_twa.ops.recurrent.subchunks import product


def decayed_pairs(query, key, log_decay):
    """Computes the scores of a chunk, and what it reads from and adds to a memory.

    Args:
        query: `(rows, t, D)`, where t is a power of two.
        key: `(rows, t, D)`.
        log_decay: The logarithms of the decays, not positive, `(rows, t, D)`. A step
            decays all earlier steps, but not itself.

    Returns:
        The scores `(rows, t, t)`, zero where the key is later; the queries, decayed
        from the beginning of the chunk, and the keys, decayed to its end, both
        `(rows, t, D)`; and the logarithms of the decays of the whole chunk,
        `(rows, 1, D)`.
    """
    # The axes are row, span, step of a span, and channel or key. At first, each step is
    # a span.
    scores = ops.sum(query * key, axis=-1)[:, :, None, None]
    reads = (query * ops.exp(log_decay))[:, :, None]
    writes, total = key[:, :, None], log_decay[:, :, None]
    while scores.shape[1] > 1:
        reads, writes, total = (_in_pairs(x) for x in (reads, writes, total))
        across = product(reads[:, :, 1], ops.swapaxes(writes[:, :, 0], 2, 3))
        first, second = ops.unstack(_in_pairs(scores), 2, axis=2)
        above = ops.concatenate([first, ops.zeros_like(across)], axis=3)
        below = ops.concatenate([across, second], axis=3)
        scores = ops.concatenate([above, below], axis=2)
        before, after = ops.unstack(ops.exp(total), 2, axis=2)
        ones = ops.ones_like(before)
        reads = _joined(reads * ops.stack([ones, before], axis=2))
        writes = _joined(writes * ops.stack([after, ones], axis=2))
        total = ops.sum(total, axis=2)
    return scores[:, 0], reads[:, 0], writes[:, 0], total[:, 0]


def _in_pairs(x):
    """`(rows, n, t, ...)` to `(rows, n / 2, 2, t, ...)`."""
    return ops.reshape(x, (-1, x.shape[1] // 2, 2, *x.shape[2:]))


def _joined(x):
    """`(rows, n, 2, t, ...)` to `(rows, n, 2 t, ...)`."""
    return ops.reshape(x, (-1, x.shape[1], 2 * x.shape[3], *x.shape[4:]))
