"""Softmax attention estimated from random features, in time linear in length."""

import math
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.linear import NOTHING
from keras_twa.ops.linear import over_sum
from keras_twa.ops.linear import past
from keras_twa.ops.linear import run_causally
from keras_twa.ops.linear import with_one
from keras_twa.ops.tiled import as_queries
from keras_twa.ops.tiled import from_rows


def orthogonal_features(width, count, rng):
    """Directions for random features: normal, and in blocks of `width` orthogonal.

    Args:
        width: D.
        count: M.
        rng: A NumPy random generator.

    Returns:
        A float32 array `(D, M)`.
    """
    blocks = -(-count // width)
    bases = [np.linalg.qr(rng.normal(size=(width, width)))[0] for _ in range(blocks)]
    directions = np.concatenate(bases, axis=1)[:, :count]
    lengths = np.linalg.norm(rng.normal(size=(width, count)), axis=0)
    return (directions * lengths).astype("float32")


def performer_attention(query, key, value, directions, mask, memory=None, highest=None):
    """Estimates `softmax(q . k / sqrt(D)) v` from random features.

    The features of `x` are `exp(x . w - |x|^2 / 2)`, one for each direction `w`. What
    they have in common for all keys, or all queries, is divided out again: so the
    largest of them is taken off before the exponential.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        directions: From `orthogonal_features`, `(D, M)`.
        mask: An `AttentionMask` without pairs.
        memory: Float32 `(B, H, M, E + 1)` of the steps before, over the exponential of
            `highest`, or `None`. Needs a causal mask and T = S.
        highest: Float32 `(B, H)`, the largest logarithm of a feature before, or `None`.

    Returns:
        `(B, T, H, E)` in the dtype of `value`, and under a causal mask the memory and
        the largest logarithm of a feature, else `None` twice.
    """
    scale = float(query.shape[-1]) ** -0.25
    query, key = (ops.cast(x, "float32") * scale for x in (query, key))
    values = with_one(value)
    batch, _, heads, _ = ops.shape(value)
    if not mask.causal:
        query, key, values = (as_queries(x, batch, heads) for x in (query, key, values))
        real = None
        if mask.keys is not None:
            real = ops.repeat(mask.keys, heads, axis=0)[:, :, None]
        total = _sum_of_keys(key, values, directions[None], real)
        output = backend.matmul(_of_queries(query, directions[None]), total)
        return over_sum(from_rows(output, batch, heads), value, mask), None, None
    count = directions.shape[-1]
    if memory is None:
        memory = ops.zeros((batch, heads, count, values.shape[-1]))
        highest = ops.full((batch, heads), NOTHING)
    state = [memory, highest[:, :, None, None]]
    output, (memory, highest) = run_causally(
        Advance(), state, query, key, values, mask, parameters=[directions[None]]
    )
    return over_sum(output, value, mask), memory, highest[:, :, 0, 0]


@dataclass(frozen=True)
class Advance:
    """One chunk of causal random features; see `run_in_chunks`.

    Each key has its own largest logarithm taken off, and the sums for a query the
    largest up to that query: so no later key, however large, makes earlier ones vanish.
    """

    def __call__(self, state, steps, directions):
        memory, before = state
        real, key = steps["real"], steps["key"]
        logs = backend.matmul(key, directions)
        own = _largest(logs)
        features = ops.exp(logs - own) * real
        level = ops.where(ops.greater(real, 0.0), own - _half_square(key), NOTHING)
        highest = _running_max(ops.stop_gradient(level), real, before)
        memory, output = _weighed(
            _of_queries(steps["query"], directions),
            features,
            steps["value"],
            memory,
            ops.swapaxes(level, 1, 2) - highest,
            before - highest,
        )
        return [memory, highest[:, -1:]], output


def _weighed(query, key, value, memory, log_weights, log_memory_weights):
    """A chunk in which each step has a weight of its own for each later one.

    Args:
        query: `(rows, t, M)`.
        key: `(rows, t, M)`, zero where a step is not real.
        value: `(rows, t, D)`.
        memory: `(rows, M, D)`, of the steps before.
        log_weights: `(rows, t, t)`: of key `j` for query `i`. Above the diagonal it may
            be anything.
        log_memory_weights: `(rows, t, 1)`: of the memory for query `i`.

    Returns:
        The next memory, and the output `(rows, t, D)`.
    """
    # Before the exponential: what is ahead may be beyond all bounds.
    visible = past(ops.shape(key)[1])
    weights = ops.exp(ops.where(visible, log_weights, -math.inf))
    scores = backend.matmul(query, ops.swapaxes(key, 1, 2)) * weights
    output = backend.matmul(query * ops.exp(log_memory_weights), memory)
    output = output + backend.matmul(scores, value)
    # The next memory is what the last query finds.
    key_weights, memory_weight = weights[:, -1:], ops.exp(log_memory_weights[:, -1:])
    key = ops.swapaxes(key, 1, 2) * key_weights
    return memory * memory_weight + backend.matmul(key, value), output


def _running_max(x, real, before):
    """The largest up to each step of a chunk, of what is real and what was before.

    Args:
        x: `(rows, t, 1)`.
        real: `(rows, t, 1)`, 1 for real steps, else 0.
        before: `(rows, 1, 1)`.
    """
    x = ops.swapaxes(ops.where(ops.greater(real, 0.0), x, NOTHING), 1, 2)
    seen = ops.where(past(ops.shape(x)[2]), x, NOTHING)
    return ops.maximum(ops.max(seen, axis=-1, keepdims=True), before)


def _of_queries(query, directions):
    """Features of queries `(rows, T, D)`, over what the keys of each do not see."""
    logs = backend.matmul(query, directions)
    return ops.exp(logs - _largest(logs))


def _sum_of_keys(key, values, directions, real):
    """The sum of the products of features and values: `(rows, M, E + 1)`."""
    logs, half_square = backend.matmul(key, directions), _half_square(key)
    level = _largest(logs) - ops.stop_gradient(half_square)
    if real is not None:
        level = ops.where(real, level, NOTHING)
    off = half_square + ops.max(level, axis=1, keepdims=True)
    if real is not None:
        off = ops.where(real, off, -NOTHING)
    return backend.matmul(ops.swapaxes(ops.exp(logs - off), 1, 2), values)


def _half_square(x):
    return 0.5 * ops.sum(ops.square(x), axis=-1, keepdims=True)


def _largest(x):
    return ops.stop_gradient(ops.max(x, axis=-1, keepdims=True))
