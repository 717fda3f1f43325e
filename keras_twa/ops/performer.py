"""Softmax attention estimated from random features, in time linear in length."""

from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_twa.ops.linear import NOTHING
from keras_twa.ops.linear import linear_attention
from keras_twa.ops.linear import memory_shape
from keras_twa.ops.linear import over_sum
from keras_twa.ops.linear import run_causally
from keras_twa.ops.linear import running_max
from keras_twa.ops.linear import weighed
from keras_twa.ops.linear import with_one


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
    values = with_one(value)
    if memory is None:
        memory = ops.zeros(memory_shape(key, values))
        highest = ops.full(ops.shape(memory)[:2], NOTHING)
    state = [memory, highest[:, :, None, None]]
    output, (memory, highest) = run_causally(Advance(), state, query, key, values, mask)
    return over_sum(output, value, mask), memory, highest[:, :, 0, 0]


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
