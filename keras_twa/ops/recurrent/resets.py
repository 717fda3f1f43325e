"""Where a recurrence begins anew: at the first step of each segment of packed rows.

Chunks of packed rows have two more constants, both float32 `(rows, T, 1)`: "run", the
number of each step's segment, which never decreases along a row, and "run_before", that
of the step before it. A step sees steps of its own segment only. It reads the memory
before its chunk if its segment began earlier. The memory after the chunk holds only
what the segment of the last step wrote. Unless rows are packed, the functions here
change nothing.
"""

from keras import ops

from keras_twa import masks

RUNS = ("run", "run_before")


def constants(mask):
    """The constants that chunks of packed rows have in addition.

    Args:
        mask: An `AttentionMask`.

    Returns:
        A dictionary of "run" and "run_before", float32 `(B, T, 1)`; empty unless rows
        are packed.
    """
    if mask.key_segments is None:
        return {}
    run = ops.cast(mask.key_segments, "float32")[:, :, None]
    before = ops.concatenate([ops.zeros_like(run[:, :1]), run[:, :-1]], axis=1)
    return dict(zip(RUNS, (run, before), strict=True))


def past(length):
    """Which steps of a chunk are not later than another: boolean `(1, t, t)`."""
    return masks.past(ops.arange(0, length, dtype="int32"), length, length)[None]


def seen(steps):
    """Which steps of a chunk a step sees: boolean `(rows or 1, t, t)`.

    Args:
        steps: The steps of a chunk, with "value" `(rows, t, E)`.
    """
    found = past(ops.shape(steps["value"])[1])
    if "run" not in steps:
        return found
    run = steps["run"]
    return ops.logical_and(found, ops.equal(run, ops.swapaxes(run, 1, 2)))


def reading(x, steps):
    """`(rows, m * t, ...)`, zero for steps whose segment began in the chunk.

    These do not read the memory before the chunk. Steps may be repeated m times.
    """
    if "run" not in steps:
        return x
    return _where_equal(steps["run"], steps["run_before"][:, :1], x)


def remaining(memory, steps):
    """The memory before a chunk `(rows, ...)`, zero if it does not remain after it."""
    if "run" not in steps:
        return memory
    return _where_equal(steps["run"][:, -1:], steps["run_before"][:, :1], memory)


def writing(x, steps):
    """`(rows, m * t, ...)`, zero for steps of other segments than the last.

    These leave nothing in the memory after the chunk. Steps may be repeated m times.
    """
    if "run" not in steps:
        return x
    return _where_equal(steps["run"], steps["run"][:, -1:], x)


def continuing(x, steps, otherwise=0.0):
    """`(rows, t, ...)`, another number at the first step of each segment."""
    if "run" not in steps:
        return x
    return _where_equal(steps["run"], steps["run_before"], x, otherwise)


def of_subchunks(steps, size, heads=1):
    """Which steps, subchunks and memories belong to the same segment.

    Args:
        steps: The steps of a chunk, with `n * size` steps.
        size: Number of steps t in a subchunk.
        heads: The rows are B times this number.

    Returns:
        A dictionary by the names of arguments of `subchunks.weighed`: booleans "inside"
        `(B, n, t, t)`, "read" and "write" `(B, n, t, 1)`, and "carried"
        `(B, n + 1, n + 1)`; empty unless rows are packed.
    """
    if "run" not in steps:
        return {}
    shape = (-1, heads, steps["run"].shape[1] // size, size)
    run, before = (ops.reshape(steps[name], shape)[:, 0] for name in RUNS)
    # The segments of the memories before each subchunk and after the last.
    edges = ops.concatenate([before[:, 0, :1], run[:, :, -1]], axis=1)
    return {
        "inside": ops.equal(run[..., None], run[:, :, None]),
        "read": ops.equal(run, edges[:, :-1, None])[..., None],
        "write": ops.equal(run, edges[:, 1:, None])[..., None],
        "carried": ops.equal(edges[:, :, None], edges[:, None]),
    }


def _where_equal(run, other, x, otherwise=0.0):
    same = ops.equal(run, other)
    count = x.shape[1] // same.shape[1]
    if same.shape[1] > 1 and count > 1:
        same = ops.tile(same, (1, count, 1))
    same = ops.reshape(same, (*ops.shape(same)[:2], *[1] * (len(x.shape) - 2)))
    return ops.where(same, x, otherwise)
