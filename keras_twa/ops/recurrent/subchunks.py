"""Chunks of a linear recurrence, cut into subchunks that are computed all at once.

Within a subchunk, a step weighs the earlier steps by their scores. It reads the sum of
the earlier subchunks from a memory. All memories come from one matrix product, too: of
what each subchunk adds, and of how much of that remains at each later subchunk. So the
only loop is that over chunks, which limits how much is held at once.
"""

import math

from keras import ops

from keras_twa.masks import past
from keras_twa.ops import backend
from keras_twa.ops.splitting import even_size

# Longer subchunks weigh more pairs, shorter ones write more memories.
SUBCHUNK = 64
# This many scores are held at once: 16 MB.
SCORES_AT_ONCE = 2**22
# The table of what remains of each subchunk at each later one is quadratic in this.
MOST_SUBCHUNKS = 64
# For an unknown number of rows.
SUBCHUNKS_OF_UNKNOWN = 16
# The maximum of no numbers: less than any number that it is compared with.
NOTHING = -1e30


def size_and_count(length, rows, width=1):
    """Number of steps in a subchunk, and of subchunks in a chunk.

    Args:
        length: Number of steps, an integer where it is known.
        rows: Sequences times heads, an integer where it is known.
        width: How many numbers are held for each step, if more than it has scores.
    """
    if not isinstance(length, int):
        return SUBCHUNK, 1
    most = SUBCHUNKS_OF_UNKNOWN
    if isinstance(rows, int):
        held = max(rows, 1) * SUBCHUNK * max(SUBCHUNK, width)
        most = max(1, min(SCORES_AT_ONCE // held, MOST_SUBCHUNKS))
    subchunks = max(1, math.ceil(length / SUBCHUNK))
    count = even_size(min(most, subchunks), subchunks)
    chunks = math.ceil(subchunks / count)
    return math.ceil(max(length, 1) / (count * chunks)), count


def split(x, heads, size):
    """`(B * H, n * t, D)` to `(B, H, n, t, D)`."""
    return ops.reshape(x, (-1, heads, x.shape[1] // size, size, x.shape[2]))


def joined(x):
    """`(B, H, n, t, D)` to `(B * H, n * t, D)`."""
    count, size, width = ops.shape(x)[2:]
    return ops.reshape(x, (-1, count * size, width))


def weighed(query, key, value, memory, inside, carried, read=None, write=None):
    """Computes one chunk, in which each pair of steps has its own weight.

    Args:
        query: `(B, H or 1, n, t, M)`.
        key: `(B, H or 1, n, t, M)`, zero where a step is not real.
        value: `(B, H, n, t, E)`.
        memory: `(B * H, M, E)` or `(B, H, M, E)`, after the earlier steps.
        inside: `(B or 1, H or 1, n or 1, t, t)`: the weight of key `j` for query `i`
            of the same subchunk, zero if the key is later.
        carried: `(B or 1, H or 1, n + 1, n + 1)`: how much of the memory, and of what
            each subchunk adds, remains before each subchunk, and after the last.
        read: `(B or 1, H or 1, n or 1, t, 1)`: how much of the memory before its
            subchunk remains for a query. Defaults to all.
        write: The same shape: how much of a key remains after its subchunk.

    Returns:
        The next memory, and the output `(B * H, n * t, E)`.
    """
    shape = ops.shape(memory)
    memory = ops.reshape(memory, (-1, value.shape[1], 1, *shape[-2:]))
    scores = product(query, ops.swapaxes(key, -1, -2)) * inside
    key = key if write is None else key * write
    query = query if read is None else query * read
    added = product(ops.swapaxes(key, -1, -2), value)
    memories = ops.concatenate([memory, added], axis=2)
    memories = carry(memories, carried)
    output = product(scores, value) + product(query, memories[:, :, :-1])
    return ops.reshape(last_of(memories), shape), joined(output)


def last_of(memories):
    """The memory after the last subchunk, from `(B, H, n + 1, ...)`."""
    # A view would keep all of them alive.
    return ops.copy(memories[:, :, -1])


def carry(memories, carried):
    """What has accumulated before each subchunk, from `(B, H, n + 1, M, E)`."""
    shape = ops.shape(memories)
    flat = ops.reshape(memories, (*shape[:3], -1))
    carried = ops.broadcast_to(carried, (*shape[:3], shape[2]))
    return ops.reshape(product(carried, flat), shape)


def product(x, y):
    """The product of matrices `(..., t, n)` and `(..., n, s)`."""
    shape = (*ops.shape(x)[:-1], ops.shape(y)[-1])
    x, y = (ops.reshape(z, (-1, *ops.shape(z)[-2:])) for z in (x, y))
    return ops.reshape(backend.matmul(x, y), shape)


def visible(size):
    """1 for a key that is not later than the query, else 0: `(t, t)`."""
    return ops.cast(past(ops.arange(0, size, dtype="int32"), size, size), "float32")


def lags_of(steps, before, size):
    """The lags between steps, subchunks and memories; see `weighed`.

    Args:
        steps: The steps of a chunk, with "value" `(rows, n * t, E)`, and with "time"
            `(b, n * t, 1)` if times are given: less than any other where a step is
            padding. In packed rows, padding has the time of the step before it.
        before: A list of the time before the first step, `(b, 1)`; empty without times.
        size: t.

    Returns:
        A dictionary of lags by the names of arguments of `weighed`, with one head;
        negative lags become zero. And a list of the time after the last step, empty
        without times.
    """
    count = steps["value"].shape[1] // size
    if before:
        time = ops.reshape(steps["time"], (-1, count, size))
        if "run" in steps:
            edges = ops.concatenate([before[0], time[:, :, -1]], axis=1)
        else:
            # Padding does not advance the time.
            time, edges = running_max(time, before[0])
    else:
        # All subchunks have the same lags.
        time = ops.arange(1.0, size + 1.0, dtype="float32")[None, None]
        edges = size * ops.arange(0, count + 1.0, dtype="float32")[None]
    num, time = time.shape[1], time[..., None]
    start, end = (x[:, :, None, None] for x in (edges[:, :num], edges[:, 1 : num + 1]))
    lags = {
        "inside": time - ops.swapaxes(time, -1, -2),
        "carried": edges[:, :, None] - edges[:, None, :],
        "read": time - start,
        "write": end - time,
    }
    lags = {name: ops.maximum(x, 0.0)[:, None] for name, x in lags.items()}
    return lags, [edges[:, -1:]] if before else []


def lasting(log_decay, seen=None):
    """How much remains of each step at each later one.

    Args:
        log_decay: The logarithms of the decays, `(..., t)`. A step decays all earlier
            steps, but not itself.
        seen: Boolean, broadcastable to `(..., t, t)`: which keys a query sees, none of
            them later. Defaults to all that are not later.

    Returns:
        `(..., t, t)`: what remains of key `j` at query `i`, zero if the key is later.
    """
    size = log_decay.shape[-1]
    not_later = past(ops.arange(0, size, dtype="int32"), size, size)
    later = ops.logical_not(ops.swapaxes(not_later, 0, 1))
    seen = not_later if seen is None else seen
    # Summed directly: a difference of large sums would lose digits.
    logs = ops.cumsum(ops.where(later, log_decay[..., None], 0.0), axis=-2)
    return ops.exp(ops.where(seen, logs, -math.inf))


def lasting_memories(log_decay):
    """How much of each memory remains before each subchunk, and after the last.

    Args:
        log_decay: The logarithms of the decays of whole subchunks, `(..., n)`.

    Returns:
        `(..., n + 1, n + 1)`: for the memory before all subchunks, and for what each
        subchunk adds.
    """
    none = ops.zeros_like(log_decay[..., :1])
    return lasting(ops.concatenate([none, log_decay], axis=-1))


def running_max(x, before):
    """The running maximum up to each step, which includes `before`.

    Args:
        x: `(..., n, t)`.
        before: `(..., 1)`.

    Returns:
        `(..., n, t)`, and the maximum before each subchunk and after the last,
        `(..., n + 1)`.
    """
    edges = ops.concatenate([before, ops.max(x, axis=-1)], axis=-1)
    edges = _highest_so_far(edges)
    return ops.maximum(_highest_so_far(x), edges[..., :-1, None]), edges


def _highest_so_far(x):
    """The running maximum along the last axis."""
    size = x.shape[-1]
    seen = past(ops.arange(0, size, dtype="int32"), size, size)
    return ops.max(ops.where(seen, x[..., None, :], NOTHING), axis=-1)


def fading(lags, logs, same=None):
    """The weights `gamma^lag`, by the names of the lags.

    Args:
        lags: From `lags_of`.
        logs: The logarithms of gamma, `(H,)`.
        same: From `resets.of_subchunks`: other weights are zero.
    """
    found = {}
    for name, lag in lags.items():
        heads = (-1, *[1] * (len(lag.shape) - 2))
        weights = ops.exp(ops.reshape(logs, heads) * lag)
        if name in ("inside", "carried"):
            weights = weights * visible(lag.shape[-1])
        if same:
            weights = ops.where(same[name][:, None], weights, 0.0)
        found[name] = weights
    return found
