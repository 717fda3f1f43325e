"""Softmax attention estimated from random features, in time linear in length."""

from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import log_linear
from keras_twa.ops.recurrent.linear import over_sum
from keras_twa.ops.recurrent.linear import run_in_logs
from keras_twa.ops.recurrent.linear import with_one
from keras_twa.ops.recurrent.subchunks import NOTHING
from keras_twa.ops.rows import as_queries
from keras_twa.ops.rows import from_rows


def orthogonal_features(width, count, rng):
    """Directions for random features: normal, and orthogonal in groups of `width`.

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

    The features of `x` are `exp(x . w - |x|^2 / 2)`, one for each direction `w`. Only
    their logarithms are computed, so that features may be arbitrarily small.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        directions: From `orthogonal_features`, `(D, M)`.
        mask: An `AttentionMask` without pairs.
        memory: Float32 `(B, H, M, E + 1)` after the earlier steps, or `None`. Each
            feature is divided by the exponential of its `highest`. Requires a causal
            mask and T = S.
        highest: Float32 `(B, H, M)`, the largest logarithm of each feature so far, or
            `None`.

    Returns:
        `(B, T, H, E)` in the dtype of `value`, and under a causal mask the memory and
        the largest logarithms of the features, else `None` for both.
    """
    scale = float(query.shape[-1]) ** -0.25
    query, key = (ops.cast(x, "float32") * scale for x in (query, key))
    values = with_one(value)
    batch, _, heads, _ = ops.shape(value)
    if not mask.causal and mask.key_segments is None:
        query, key, values = (as_queries(x, batch, heads) for x in (query, key, values))
        real = None
        if mask.keys is not None:
            real = ops.repeat(mask.keys, heads, axis=0)[:, :, None]
        query, key = _logs(query, key, real, directions[None])
        output = log_linear.attend_to_all(query, key, values)
        output = from_rows(output, batch, heads)
        return over_sum(output, value, mask), None, None
    state = None if memory is None else (memory, highest)
    width, parameters = directions.shape[-1], [directions[None]]
    output, state = run_in_logs(
        Advance, query, key, values, mask, state, width, parameters
    )
    memory, highest = state if mask.causal else (None, None)
    return over_sum(output, value, mask), memory, highest


@dataclass(frozen=True)
class Advance:
    """One chunk of causal features, in subchunks of `size`; see `run_in_chunks`."""

    size: int

    def __call__(self, state, steps, directions):
        real = ops.greater(steps["real"], 0.0)
        query, key = _logs(steps["query"], steps["key"], real, directions)
        memory, highest = state
        *state, output = log_linear.advance(
            memory, highest, query, key, steps["value"], self.size, steps
        )
        return state, output


def _logs(query, key, real, directions):
    """The logarithms of the features of queries and keys.

    The half square of a query is the same for all its features, and is left out.

    Args:
        query: `(rows, T, D)`.
        key: `(rows, S, D)`.
        real: Boolean `(rows, S, 1)`, or `None` if all keys are real.
        directions: `(1, D, M)`.

    Returns:
        `(rows, T, M)`, and `(rows, S, M)` with `NOTHING` for keys that are not real.
    """
    half_square = 0.5 * ops.sum(ops.square(key), axis=-1, keepdims=True)
    query, key = (backend.matmul(x, directions) for x in (query, key))
    key = key - half_square
    return query, key if real is None else ops.where(real, key, NOTHING)
