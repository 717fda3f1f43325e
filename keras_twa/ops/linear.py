"""Attention without a softmax, in time linear in length: a state in, a state out.

With features in place of queries and keys, `sum_j (q_i . k_j) v_j` is `q_i` times the
sum of the products `k_j v_j^T`, which does not grow with the sequence. A chunk of steps
does it the other way round, by the scores of its own pairs, and takes what came before
from that sum.
"""

import math
from dataclasses import dataclass

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.chunks import run_in_chunks
from keras_twa.ops.tiled import as_queries
from keras_twa.ops.tiled import from_rows

# A smaller sum of weights is no sum: nothing was seen.
LEAST_TOTAL = 1e-30


def linear_attention(
    query, key, value, mask=None, log_decay=None, normalize=True, memory=None
):
    """Computes `sum_j (q_i . k_j) v_j`, over `sum_j q_i . k_j` if that is asked for.

    A query that sees no key gets an output of zero.

    Args:
        query: Features of the queries `(B, T, H, M)`; not negative with `normalize`.
        key: Features of the keys `(B, S, H, M)`, likewise, finite wherever `mask` hides
            a key.
        value: `(B, S, H, D)`, finite likewise.
        mask: An `AttentionMask` without pairs, or `None` to attend everywhere.
        log_decay: Float32 `(B or 1, T, H)`, at most 0, or `None`. What step `j` left is
            multiplied by the exponentials of all later ones up to `i`. Needs a causal
            mask and T = S.
        normalize: Whether to divide by the sum of the scores.
        memory: Float32 `(B, H, M, D + normalize)` of the steps before, or `None`. Needs
            a causal mask and T = S.

    Returns:
        `(B, T, H, D)` in the dtype of `value`, and the memory after the last step, or
        `None` where no memory came and the mask is not causal.
    """
    mask = AttentionMask() if mask is None else mask
    batch, num_keys, heads, _ = ops.shape(value)
    num_queries = ops.shape(query)[1]
    real = ops.ones((batch, num_keys)) if mask.keys is None else mask.keys
    real = as_queries(real[:, :, None, None], batch, heads)
    query, key = as_queries(query, batch, heads), as_queries(key, batch, heads)
    values = as_queries(value, batch, heads)
    if normalize:
        # The sum of the scores is what a value of 1 would get.
        values = ops.concatenate([values, ops.ones_like(values[..., :1])], axis=-1)
    if not mask.causal:
        memory = backend.matmul(ops.swapaxes(key * real, 1, 2), values)
        output, memory = backend.matmul(query, memory), None
    else:
        query, (key, values, real) = align(query, key, values, real)
        steps = {"query": query, "key": key, "value": values}
        if log_decay is not None:
            steps["log_decay"] = as_queries(log_decay[..., None], batch, heads)
        state = ops.zeros((batch, heads, key.shape[-1], values.shape[-1]))
        state = as_rows(state if memory is None else memory)
        advance = Advance(log_decay is not None)
        output, (state,) = run_in_chunks(advance, [state], steps, {"real": real})
        output = output[:, ops.shape(output)[1] - num_queries :]
        memory = of_rows(state, batch)
    if normalize:
        output = over_sum(output)
    output = ops.cast(from_rows(output, batch, heads), value.dtype)
    return hide_padding(output, mask.queries), memory


@dataclass(frozen=True)
class Advance:
    """One chunk of linear attention; see `run_in_chunks`.

    Args:
        decays: Whether the memory fades.
    """

    decays: bool

    def __call__(self, state, steps):
        (memory,) = state
        query, value, real = steps["query"], steps["value"], steps["real"]
        key = steps["key"] * real
        if not self.decays:
            scores = backend.matmul(query, ops.swapaxes(key, 1, 2))
            scores = ops.where(past(ops.shape(key)[1]), scores, 0.0)
            output = backend.matmul(scores, value) + backend.matmul(query, memory)
            return [memory + backend.matmul(ops.swapaxes(key, 1, 2), value)], output
        level = ops.cumsum(steps["log_decay"], axis=1)
        difference = level - ops.swapaxes(level, 1, 2)
        memory, output = weighed(query, key, value, memory, difference, level)
        return [memory], output


def weighed(query, key, value, memory, log_weights, log_memory_weights, at_end=None):
    """A chunk in which each step has a weight of its own for each later one.

    Args:
        query: `(rows, t, M)`.
        key: `(rows, t, M)`, zero where a step is not real.
        value: `(rows, t, D)`.
        memory: `(rows, M, D)`, of the steps before.
        log_weights: `(rows, t, t)`: of key `j` for query `i`. Above the diagonal it may
            be anything.
        log_memory_weights: `(rows, t, 1)`: of the memory for query `i`.
        at_end: The same two for the next memory, `(rows, 1, t)` and `(rows, 1, 1)`.
            Defaults to those for the last query.

    Returns:
        The next memory, and the output `(rows, t, D)`.
    """
    if at_end is None:
        at_end = log_weights[:, -1:], log_memory_weights[:, -1:]
    # Before the exponential: what is ahead may be beyond all bounds.
    visible = past(ops.shape(key)[1])
    weights = ops.exp(ops.where(visible, log_weights, -math.inf))
    scores = backend.matmul(query, ops.swapaxes(key, 1, 2)) * weights
    output = backend.matmul(query * ops.exp(log_memory_weights), memory)
    output = output + backend.matmul(scores, value)
    key_weights, memory_weight = map(ops.exp, at_end)
    key = ops.swapaxes(key, 1, 2) * key_weights
    return memory * memory_weight + backend.matmul(key, value), output


def over_sum(output):
    """Divides by the last channel; zero where that is zero."""
    output, total = output[..., :-1], output[..., -1:]
    seen = ops.greater(total, LEAST_TOTAL)
    total = ops.where(seen, total, 1.0)
    # The gradient of a quotient has the square of the total, which may be too small.
    scale = ops.stop_gradient(total)
    return ops.where(seen, (output / scale) / (total / scale), 0.0)


def past(length):
    """`True` where a step of a chunk sees a step: `(1, t, t)`."""
    steps = ops.arange(length, dtype="int32")
    return ops.greater_equal(steps[:, None], steps[None, :])[None]


def as_rows(state):
    """`(B, H, ...)` to `(B * H, ...)`."""
    batch, heads, *rest = ops.shape(state)
    return ops.reshape(state, (batch * heads, *rest))


def of_rows(state, batch):
    """`(B * H, ...)` to `(B, H, ...)`."""
    rows, *rest = ops.shape(state)
    return ops.reshape(state, (batch, rows // batch, *rest))


def align(query, *of_keys):
    """Puts zeros in front of what is shorter: the last query sees the last key.

    Args:
        query: `(rows, T, ...)`.
        *of_keys: Tensors `(rows, S, ...)`.
    """
    ahead = ops.shape(of_keys[0])[1] - ops.shape(query)[1]
    return _behind(query, ahead), [_behind(x, -ahead) for x in of_keys]


def _behind(x, count):
    """`(rows, T, ...)` behind so many steps of zeros, if any."""
    if isinstance(count, int) and count <= 0:
        return x
    rows, _, *rest = ops.shape(x)
    return ops.concatenate(
        [ops.zeros((rows, ops.maximum(count, 0), *rest), x.dtype), x], axis=1
    )
