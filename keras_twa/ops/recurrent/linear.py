"""Attention without a softmax, in time linear in length, with a state of fixed size.

With features in place of queries and keys, `sum_j (q_i . k_j) v_j` is `q_i` times the
sum of the products `k_j v_j^T`, whose size does not grow with the sequence. Within a
chunk of steps, scores of pairs are computed instead; earlier chunks contribute through
that sum.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa import masks
from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops.backend.limits import LEAST_TOTAL
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import log_linear
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent.chunks import run_in_chunks
from keras_twa.ops.recurrent.keys_first import KeysFirst
from keras_twa.ops.recurrent.subchunks import NOTHING
from keras_twa.ops.rows import as_queries
from keras_twa.ops.rows import from_rows
from keras_twa.ops.segments import latest_real


def linear_attention(query, key, value, mask=None, state=None):
    """Computes `sum_j (q_i . k_j) v_j / sum_j (q_i . k_j)`.

    A query that sees no key gets an output of zero. See `log_linear_attention` for
    features that are too small or large for a float32.

    Args:
        query: Features of the queries `(B, T, H, M)`, not negative.
        key: Features of the keys `(B, S, H, M)`, likewise, finite wherever `mask` hides
            a key.
        value: `(B, S, H, D)`, finite likewise.
        mask: An `AttentionMask` without pairs, or `None` to attend everywhere.
        state: The state that the call for the earlier steps returned, or `None`.
            Requires a causal mask and T = S.

    Returns:
        `(B, T, H, D)` in the dtype of `value`, and under a causal mask the state after
        the last step, else `None`.
    """
    query, key = log_linear.logs_of(query), log_linear.logs_of(key)
    return log_linear_attention(query, key, value, mask, state)


@takes_empty(rows=("state",))
def log_linear_attention(query, key, value, mask=None, state=None):
    """Computes what `linear_attention` does, from the logarithms of the features.

    Args:
        query: Logarithms of features `(B, T, H, M)`.
        key: Logarithms of features `(B, S, H, M)`, finite wherever `mask` hides a key.
        value: `(B, S, H, D)`, finite likewise.
        mask: An `AttentionMask` without pairs, or `None` to attend everywhere.
        state: A pair, or `None`: the "memory" of the earlier steps, float32
            `(B, H, M, D + 1)`, and the "highest" logarithm of each feature so far,
            float32 `(B, H, M)`. Features in the memory are divided by the exponential
            of the highest. Requires a causal mask and T = S.

    Returns:
        `(B, T, H, D)` in the dtype of `value`, and under a causal mask the state after
        the last step, else `None`.
    """
    mask = AttentionMask() if mask is None else mask
    values = with_one(value)
    if not mask.causal and mask.key_segments is None:
        batch, _, heads, _ = ops.shape(value)
        if mask.keys is not None:
            key = ops.where(mask.keys[:, :, None, None], key, NOTHING)
        rows = (as_queries(x, batch, heads) for x in (query, key, values))
        output = from_rows(log_linear.attend_to_all(*rows), batch, heads)
        return over_sum(output, value, mask), None
    output, state = run_in_logs(
        Advance, query, key, values, mask, state, query.shape[-1]
    )
    return over_sum(output, value, mask), state if mask.causal else None


@dataclass(frozen=True)
class Advance:
    """One chunk of linear attention, in subchunks of `size`; see `run_in_chunks`."""

    size: int

    def __call__(self, state, steps):
        key = ops.where(ops.greater(steps["real"], 0.0), steps["key"], NOTHING)
        memory, highest = state
        *state, output = log_linear.advance(
            memory, highest, steps["query"], key, steps["value"], self.size, steps
        )
        return state, output


def run_in_logs(advance, query, key, values, mask, state, width, parameters=()):
    """Runs a recurrence based on `log_linear.advance`; see `run_causally`.

    Args:
        advance: From the number of steps in a subchunk to the function for one chunk.
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`.
        values: From `with_one`, `(B, S, H, E)`.
        mask: An `AttentionMask`, causal or with segments.
        state: The memory `(B, H, M, E)` and the highest logarithms `(B, H, M)`, or
            `None`.
        width: M.
        parameters: See `run_causally`.

    Returns:
        The argument of `over_sum`, `(B, T, H, E)`, and the next state.
    """
    if not mask.causal:
        both = KeysFirst.of(mask)
        steps = (
            both.of_queries(query, key),
            both.of_keys(key, query),
            both.of_keys(values, query),
        )
        output, state = run_in_logs(
            advance, *steps, both.mask, state, width, parameters
        )
        return both.at_queries(output), state
    batch, num_keys, heads, dim = ops.shape(values)
    if state is None:
        memory = ops.zeros((batch, heads, width, dim))
        state = memory, ops.full((batch, heads, width), NOTHING)
    memory, highest = state
    length = longer(ops.shape(query)[1], num_keys)
    size, count = log_linear.size_and_count(length, batch * heads, width)
    output, (memory, highest) = run_causally(
        advance(size),
        [memory, highest[:, :, None]],
        query,
        key,
        values,
        mask,
        size * count,
        parameters=parameters,
    )
    return output, (memory, highest[:, :, 0])


def run_with_memory(advance, query, key, value, mask, chunk, memory=None, further=None):
    """Runs a recurrence whose state is one memory, initially zero; see `run_causally`.

    Returns:
        The output `(B, T, H, D)` in float32, and the memory after the last step.
    """
    if memory is None:
        memory = ops.zeros(memory_shape(key, value))
    output, (memory,) = run_causally(
        advance, [memory], query, key, value, mask, chunk, further=further
    )
    return output, memory


def run_causally(
    advance,
    state,
    query,
    key,
    value,
    mask,
    chunk,
    times=None,
    parameters=(),
    further=None,
):
    """Runs a recurrence over each head of each sequence; see `run_in_chunks`.

    Args:
        advance: The function for one chunk. Its steps are "query", "key", "value",
            "real", "time" if there are times, those of `resets.constants`, and the
            tensors of `further`.
        state: List of float32 tensors `(B, H or 1, ...)`.
        query: `(B, T, H, M)`.
        key: `(B, S, H, M)`.
        value: `(B, S, H, D)`.
        mask: An `AttentionMask`; attention is always causal.
        chunk: Number of steps in a chunk.
        times: Times of the steps, float32 `(B or 1, T)`, or `None`. Requires T = S. As
            "time", `(B or 1, t, 1)`, they are `NOTHING` where a step is neither a real
            query nor a real key. In packed rows, such a step has the time of the step
            before it.
        parameters: Float32 tensors of any shape, the same at each step.
        further: Dictionary of further tensors of keys, `(B, S, H, ...)`, or `None`.

    Returns:
        The output `(B, T, H, D)` in float32, and the state after the last step.
    """
    batch, num_keys, heads, _ = ops.shape(value)
    num_queries = ops.shape(query)[1]
    real = masks.real_keys(mask, batch, num_keys)
    of_keys = {"key": key, "value": value, "real": real[:, :, None, None]}
    of_keys |= further or {}
    of_keys |= {name: x[..., None] for name, x in resets.constants(mask).items()}
    steps = {name: as_queries(x, batch, heads) for name, x in of_keys.items()}
    steps["query"] = as_queries(query, batch, heads)
    if times is not None:
        timed = masks.real_queries(mask, batch, num_queries)
        timed = ops.logical_or(real, timed)
        steps["time"] = _of_real_steps(times, timed, mask)[:, :, None]
    length = longer(num_queries, num_keys)
    # The last query is aligned with the last key: padding goes to the front.
    length = chunk * (-(-length // chunk))
    steps = {
        name: _behind(x, length - ops.shape(x)[1], NOTHING if name == "time" else 0.0)
        for name, x in steps.items()
    }
    names = [name for name in ("real", "time", *resets.RUNS) if name in steps]
    constants = {name: steps.pop(name) for name in names}
    rows = [_as_rows(x) for x in state]
    output, rows = run_in_chunks(advance, rows, steps, constants, parameters, chunk)
    output = output[:, ops.shape(output)[1] - num_queries :]
    state = [ops.reshape(x, (batch, -1, *x.shape[1:])) for x in rows]
    return from_rows(output, batch, heads), state


def with_one(value):
    """Float32 values with a channel of ones, whose output is the sum of weights."""
    value = ops.cast(value, "float32")
    return ops.concatenate([value, ops.ones_like(value[..., :1])], axis=-1)


def over_sum(output, value, mask):
    """Divides `(B, T, H, D + 1)` by the last channel; zero where no key was seen.

    Args:
        output: Weighted sums of `with_one(value)`; the largest weight is about 1.
        value: The result has its dtype.
        mask: An `AttentionMask`, whose padded queries get zero.
    """
    output, total = output[..., :-1], output[..., -1:]
    # Where a key is seen, the largest weight alone exceeds this.
    output = output / ops.maximum(total, LEAST_TOTAL)
    return hide_padding(ops.cast(output, value.dtype), mask.queries)


def memory_shape(key, value):
    """The shape of the sums of products of keys and values: `(B, H, M, D)`."""
    batch, _, heads, width = ops.shape(value)
    return batch, heads, key.shape[-1], width


def _of_real_steps(times, real, mask):
    """The times `(B or 1, T)` of real steps; see `run_causally`."""
    if mask.key_segments is None:
        return ops.where(real, times, NOTHING)
    times = ops.broadcast_to(times, ops.shape(real))
    return ops.take_along_axis(times, latest_real(real), axis=1)


def _as_rows(x):
    """`(B, H, ...)` to `(B * H, ...)`."""
    batch, heads, *rest = ops.shape(x)
    return ops.reshape(x, (batch * heads, *rest))


def longer(length, other):
    """The larger of two lengths, each an integer or a tensor."""
    if isinstance(length, int) and isinstance(other, int):
        return max(length, other)
    return ops.maximum(length, other)


def _behind(x, count, fill):
    """Puts `count` steps, filled with a number, in front of `(rows, T, ...)`."""
    if isinstance(count, int) and count == 0:
        return x
    rows, _, *rest = ops.shape(x)
    return ops.concatenate([ops.full((rows, count, *rest), fill, x.dtype), x], axis=1)
