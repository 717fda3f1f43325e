"""Softmax attention estimated from random features, in time linear in length."""

import math
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_twa.ops import backend
from keras_twa.ops import blocks
from keras_twa.ops.blocks import NOTHING
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.linear import longer
from keras_twa.ops.linear import over_sum
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


@takes_empty(rows=("memory", "highest"))
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
    batch, num_keys, heads, _ = ops.shape(value)
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
    length = longer(ops.shape(query)[1], num_keys)
    size, number = blocks.size_and_count(length, batch * heads, count)
    state = [memory, highest[:, :, None, None]]
    output, (memory, highest) = run_causally(
        Advance(size, heads),
        state,
        query,
        key,
        values,
        mask,
        size * number,
        parameters=[directions[None]],
    )
    return over_sum(output, value, mask), memory, highest[:, :, 0, 0]


@dataclass(frozen=True)
class Advance:
    """One chunk of causal random features, in blocks of `size`; see `run_in_chunks`.

    Each key has its own largest logarithm taken off, and the sums for a query the
    largest up to that query: so no later key, however large, makes earlier ones vanish.
    """

    size: int
    heads: int

    def __call__(self, state, steps, directions):
        memory, before = state
        real, key = steps["real"], steps["key"]
        logs = backend.matmul(key, directions)
        own = _largest(logs)
        level = ops.where(ops.greater(real, 0.0), own - _half_square(key), NOTHING)
        query, key, value, level = (
            blocks.split(x, self.heads, self.size)
            for x in (
                _of_queries(steps["query"], directions),
                backend.exp_difference(logs, own) * real,
                steps["value"],
                level,
            )
        )
        row = ops.swapaxes(level, -1, -2)
        before = ops.reshape(before, (-1, self.heads, 1))
        highest, edges = blocks.running_max(ops.stop_gradient(row[..., 0, :]), before)
        highest, count = highest[..., None], key.shape[2]
        start, end = (edges[:, :, i : i + count, None, None] for i in (0, 1))
        visible = blocks.visible(self.size)
        memory, output = blocks.weighed(
            query,
            key,
            value,
            memory,
            # Of what is ahead, the difference may be beyond all bounds.
            inside=ops.exp(ops.where(visible > 0, row - highest, -math.inf)),
            carried=blocks.visible(count + 1)
            * ops.exp(ops.minimum(edges[:, :, None, :] - edges[:, :, :, None], 0.0)),
            read=ops.exp(start - highest),
            write=ops.exp(level - end),
        )
        return [memory, ops.reshape(edges[:, :, -1:], (-1, 1, 1))], output


def _of_queries(query, directions):
    """Features of queries `(rows, T, D)`, over what the keys of each do not see."""
    logs = backend.matmul(query, directions)
    return backend.exp_difference(logs, _largest(logs))


def _sum_of_keys(key, values, directions, real):
    """The sum of the products of features and values: `(rows, M, E + 1)`."""
    # One more channel takes half the square off all logarithms of a key.
    key = ops.concatenate([key, -_half_square(key)], axis=-1)
    directions = ops.concatenate([directions, ops.ones_like(directions[:, :1])], axis=1)
    logs = backend.matmul(key, directions)
    level = _largest(logs)
    if real is not None:
        level = ops.where(real, level, NOTHING)
    off = ops.max(level, axis=1, keepdims=True)
    if real is not None:
        off = ops.where(real, off, -NOTHING)
    features = backend.exp_difference(logs, off)
    return backend.matmul(ops.swapaxes(features, 1, 2), values)


def _half_square(x):
    return 0.5 * ops.sum(ops.square(x), axis=-1, keepdims=True)


def _largest(x):
    return ops.stop_gradient(ops.max(x, axis=-1, keepdims=True))
