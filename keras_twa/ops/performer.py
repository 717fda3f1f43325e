"""Softmax attention estimated from random features, in time linear in length."""

from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops.chunks import run_in_chunks
from keras_twa.ops.linear import align
from keras_twa.ops.linear import as_rows
from keras_twa.ops.linear import linear_attention
from keras_twa.ops.linear import of_rows
from keras_twa.ops.linear import over_sum
from keras_twa.ops.linear import weighed
from keras_twa.ops.retention import running_max
from keras_twa.ops.tiled import as_queries
from keras_twa.ops.tiled import from_rows

# The largest logarithm of a feature before there was one.
NOTHING = -1e30


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


def log_features(x, directions):
    """Logarithms of positive features, whose inner product is about `exp(x . y)`.

    Args:
        x: Float32 `(B, T, H, D)`.
        directions: `(D, M)`.

    Returns:
        `(B, T, H, M)`.
    """
    norms = 0.5 * ops.sum(ops.square(x), axis=-1, keepdims=True)
    return ops.matmul(x, directions) - norms


def performer_attention(query, key, value, directions, mask, memory=None, highest=None):
    """Estimates `softmax(q . k / sqrt(D)) v` from random features.

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
    query, key = (
        log_features(ops.cast(x, "float32") * scale, directions) for x in (query, key)
    )
    # What is the same for all keys is divided out again.
    query = ops.exp(query - _largest(query, -1))
    if mask.keys is not None:
        key = ops.where(mask.keys[:, :, None, None], key, NOTHING)
    if not mask.causal:
        key = ops.exp(key - _largest(key, (1, 3)))
        return linear_attention(query, key, value, mask)[0], None, None
    batch, num_keys, heads, width = ops.shape(value)
    num_queries = ops.shape(query)[1]
    real = ops.ones((batch, num_keys)) if mask.keys is None else mask.keys
    real = as_queries(real[:, :, None, None], batch, heads)
    query, key, values = (as_queries(x, batch, heads) for x in (query, key, value))
    values = ops.concatenate([values, ops.ones_like(values[..., :1])], axis=-1)
    query, (key, values, real) = align(query, key, values, real)
    if memory is None:
        memory = ops.zeros((batch, heads, directions.shape[1], width + 1))
        highest = ops.full((batch, heads), NOTHING)
    state = [as_rows(memory), as_rows(highest[:, :, None, None])]
    steps = {"query": query, "key": key, "value": values}
    output, (memory, highest) = run_in_chunks(Advance(), state, steps, {"real": real})
    output = over_sum(output[:, ops.shape(output)[1] - num_queries :])
    output = ops.cast(from_rows(output, batch, heads), value.dtype)
    memory, highest = of_rows(memory, batch), of_rows(highest, batch)[:, :, 0, 0]
    return hide_padding(output, mask.queries), memory, highest


@dataclass(frozen=True)
class Advance:
    """One chunk of causal random features; see `run_in_chunks`.

    Each key has its own largest logarithm taken off, and the sums for a query the
    largest up to that query: so no later key, however large, makes earlier ones vanish.
    """

    def __call__(self, state, steps):
        memory, before = state
        real = steps["real"]
        own = _largest(steps["key"], -1)
        key = ops.exp(steps["key"] - own) * real
        own = ops.where(ops.greater(real, 0.0), own, NOTHING)
        highest = running_max(own, real, before)
        memory, output = weighed(
            steps["query"],
            key,
            steps["value"],
            memory,
            ops.swapaxes(own, 1, 2) - highest,
            before - highest,
        )
        return [memory, highest[:, -1:]], output


def _largest(x, axis):
    return ops.stop_gradient(ops.max(x, axis=axis, keepdims=True))
