"""Linear attention by the logarithms of features, whose range is then not limited.

The weight of key `j` for query `i` is `sum_m exp(q_im + k_jm)`. As in a softmax, the
largest exponent is subtracted first, and cancels in the quotient. Where all queries see
the same keys, it suffices to subtract `max_j k_jm` from each feature of the keys, and
`max_m (q_im + max_j k_jm)` from each query. Two matrix products remain. A causal call
is cut into such parts: each subchunk attends to all earlier subchunks. Within a
subchunk, the second half attends to the first, then likewise within each half. The
results of all parts are added.
"""

import math

from keras import ops

from keras_twa.masks import past
from keras_twa.ops import backend
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent import subchunks
from keras_twa.ops.recurrent.subchunks import NOTHING

# The least number that is subtracted, so that `exp(NOTHING - LEAST)` is zero.
LEAST = NOTHING / 10
# Shorter subchunks have fewer parts, and longer ones fewer memories.
SUBCHUNK = 32
# Among this many steps, the weight of each pair is computed directly.
NEIGHBOURS = 4


def logs_of(features):
    """The logarithms of features, and `NOTHING` where they are zero."""
    features = ops.cast(features, "float32")
    some = ops.greater(features, 0.0)
    return ops.where(some, ops.log(ops.where(some, features, 1.0)), NOTHING)


def attend_to_all(query, key, value):
    """Attends where each query sees all real keys.

    Args:
        query: Logarithms of features `(rows, T, M)`.
        key: The same, `NOTHING` where a key is not real, `(rows, S, M)`.
        value: `(rows, S, E)`.

    Returns:
        Sums of weighted values `(rows, T, E)`; the largest weight is about 1.
    """
    features, highest = _over_largest(key, axis=1)
    memory = backend.matmul(ops.swapaxes(features, 1, 2), value)
    query, _ = _over_largest(query + highest, axis=2)
    return backend.matmul(query, memory)


def size_and_count(length, rows, width):
    """Number of steps in a subchunk, a power of two, and of subchunks in a chunk."""
    longest, count = subchunks.size_and_count(length, rows, width)
    size = min(2 ** (longest - 1).bit_length(), SUBCHUNK)
    return size, min(-(-longest * count // size), subchunks.MOST_SUBCHUNKS)


def advance(memory, highest, query, key, value, size, steps):
    """One chunk of causal attention, in subchunks of `size` steps.

    Args:
        memory: `(rows, M, E)`: sums over the earlier keys, where each feature is
            divided by the exponential of its highest logarithm.
        highest: That logarithm, `(rows, 1, M)`.
        query: Logarithms of features `(rows, t, M)`.
        key: The same, `NOTHING` where a step is not real.
        value: `(rows, t, E)`.
        size: A power of two.
        steps: The steps of the chunk, which may have segments; see `resets`.

    Returns:
        The next memory and highest logarithm; and sums as from `attend_to_all`,
        `(rows, t, E)`.
    """
    shape = ops.shape(value)
    query, key, value = (
        ops.reshape(x, (-1, x.shape[1] // size, size, x.shape[2]))
        for x in (query, key, value)
    )
    same = resets.of_subchunks(steps, size)
    writing = _only(same.get("write"), key)
    memories, tops = _before_subchunks(memory, highest, writing, value, same)
    reading = _only(same.get("read"), query + tops[:, :-1, None])
    scaled, level = _over_largest(reading, axis=3)
    found = level, subchunks.product(scaled, memories[:, :-1])
    span = min(size, NEIGHBOURS)
    found = _add(found, _of_neighbours(query, key, value, span, steps.get("run")))
    while span < size:
        found = _add_first_halves(found, query, key, value, span, steps.get("run"))
        span *= 2
    # A view would keep all memories alive, and its strides would cause recompilation.
    memory, highest = (ops.concatenate([x[:, -1:]], axis=1) for x in (memories, tops))
    return memory[:, 0], highest, ops.reshape(found[1], shape)


def _over_largest(logs, axis):
    """Exponentials divided by the largest one, and its logarithm, a constant."""
    highest = ops.stop_gradient(ops.max(logs, axis=axis, keepdims=True))
    highest = ops.maximum(highest, LEAST)
    return backend.exp_difference(logs, highest), highest


def _only(some, logs):
    """Logarithms, and `NOTHING` where `some` is false; `None` is true everywhere."""
    return logs if some is None else ops.where(some, logs, NOTHING)


def _before_subchunks(memory, highest, key, value, same):
    """The memory before each subchunk and after the last, with its highest logarithms.

    Args:
        memory: `(rows, M, E)`.
        highest: `(rows, 1, M)`.
        key: `(rows, n, t, M)`.
        value: `(rows, n, t, E)`.
        same: From `resets.of_subchunks`.

    Returns:
        `(rows, n + 1, M, E)` and `(rows, n + 1, M)`.
    """
    features, own = _over_largest(key, axis=2)
    added = subchunks.product(ops.swapaxes(features, 2, 3), value)
    # Features first: for each, another share of the earlier sums remains.
    memories = ops.swapaxes(ops.concatenate([memory[:, None], added], axis=1), 1, 2)
    own = ops.swapaxes(ops.concatenate([highest, own[:, :, 0]], axis=1), 1, 2)
    count = own.shape[2]
    seen = past(ops.arange(0, count, dtype="int32"), count, count)
    if same:
        seen = ops.logical_and(seen, same["carried"])[:, None]
    own = ops.stop_gradient(own)[:, :, None]
    tops = ops.max(ops.where(seen, own, NOTHING), axis=3)
    carried = ops.exp(ops.where(seen, own - tops[..., None], -math.inf))
    memories = subchunks.product(carried, memories)
    return ops.swapaxes(memories, 1, 2), ops.swapaxes(tops, 1, 2)


def _of_neighbours(query, key, value, span, run):
    """Attends within each `span`: a level, and a sum divided by its exponential."""
    shape = ops.shape(value)
    query, key, value = (
        ops.reshape(x, (shape[0], -1, span, x.shape[3])) for x in (query, key, value)
    )
    seen = past(ops.arange(0, span, dtype="int32"), span, span)
    if run is not None:
        run = ops.reshape(run, (shape[0], -1, span, 1))
        seen = ops.logical_and(seen, ops.equal(run, ops.swapaxes(run, 2, 3)))
    logs = _only(seen[..., None], query[:, :, :, None] + key[:, :, None])
    weights, level = _over_largest(logs, axis=(3, 4))
    found = level[..., 0], subchunks.product(ops.sum(weights, axis=4), value)
    return tuple(ops.reshape(x, (*shape[:3], x.shape[3])) for x in found)


def _add_first_halves(found, query, key, value, span, run):
    """Adds the results of the second `span` of each pair, attending to the first."""
    shape = ops.shape(value)

    def halves(x):
        x = ops.reshape(x, (shape[0], -1, 2, span, x.shape[-1]))
        return x[:, :, 0], x[:, :, 1]

    (_, query), (key, _), (value, _) = (halves(x) for x in (query, key, value))
    first, second = zip(*(halves(x) for x in found), strict=True)
    sees = None
    if run is not None:
        before, after = halves(run)
        # Both halves have steps of one segment only: the last one of the first half.
        key = _only(ops.equal(before, before[:, :, -1:]), key)
        sees = ops.equal(after, before[:, :, -1:])
    features, highest = _over_largest(key, axis=2)
    query, level = _over_largest(_only(sees, query + highest), axis=3)
    scores = subchunks.product(query, ops.swapaxes(features, 2, 3))
    second = _add(second, (level, subchunks.product(scores, value)))
    return tuple(
        ops.reshape(ops.stack(pair, axis=2), (*shape[:3], pair[0].shape[3]))
        for pair in zip(first, second, strict=True)
    )


def _add(found, other):
    """Adds two results, each a level and a sum divided by its exponential."""
    level = ops.maximum(found[0], other[0])
    sums = (x * ops.exp(own - level) for own, x in (found, other))
    return level, sum(sums)
