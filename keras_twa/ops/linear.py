"""Attention without a softmax, in time linear in length: a state in, a state out.

With features in place of queries and keys, `sum_j (q_i . k_j) v_j` is `q_i` times the
sum of the products `k_j v_j^T`, which does not grow with the sequence. A chunk of steps
does it the other way round, by the scores of its own pairs, and takes what came before
from that sum.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa import masks
from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops import blocks
from keras_twa.ops.blocks import NOTHING
from keras_twa.ops.chunks import run_in_chunks
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.tiled import as_queries
from keras_twa.ops.tiled import from_rows

# A smaller sum of weights is no sum: nothing was seen.
LEAST_TOTAL = 1e-30


@takes_empty(rows=("memory",))
def linear_attention(query, key, value, mask=None, memory=None):
    """Computes `sum_j (q_i . k_j) v_j / sum_j (q_i . k_j)`.

    A query that sees no key gets an output of zero.

    Args:
        query: Features of the queries `(B, T, H, M)`, not negative.
        key: Features of the keys `(B, S, H, M)`, likewise, finite wherever `mask` hides
            a key.
        value: `(B, S, H, D)`, finite likewise.
        mask: An `AttentionMask` without pairs, or `None` to attend everywhere.
        memory: Float32 `(B, H, M, D + 1)` of the steps before, or `None`. Needs a
            causal mask and T = S.

    Returns:
        `(B, T, H, D)` in the dtype of `value`, and under a causal mask the memory after
        the last step, else `None`.
    """
    mask = AttentionMask() if mask is None else mask
    values = with_one(value)
    if not mask.causal:
        key = hide_padding(ops.cast(key, "float32"), mask.keys)
        query = ops.cast(query, "float32")
        batch, _, heads, _ = ops.shape(value)
        query, key, values = (as_queries(x, batch, heads) for x in (query, key, values))
        memory = backend.matmul(ops.swapaxes(key, 1, 2), values)
        output = from_rows(backend.matmul(query, memory), batch, heads)
        return over_sum(output, value, mask), None
    batch, num_keys, heads, _ = ops.shape(value)
    length = longer(ops.shape(query)[1], num_keys)
    size, count = blocks.size_and_count(length, batch * heads)
    output, memory = run_with_memory(
        Advance(size, heads), query, key, values, mask, size * count, memory
    )
    return over_sum(output, value, mask), memory


@dataclass(frozen=True)
class Advance:
    """One chunk of linear attention, in blocks of `size` steps; see `run_in_chunks`."""

    size: int
    heads: int

    def __call__(self, state, steps):
        query, key, value = (
            blocks.split(x, self.heads, self.size)
            for x in (steps["query"], steps["key"] * steps["real"], steps["value"])
        )
        (memory,) = state
        memory, output = blocks.weighed(
            query,
            key,
            value,
            memory,
            inside=blocks.visible(self.size),
            carried=blocks.visible(key.shape[2] + 1),
        )
        return [memory], output


def run_with_memory(advance, query, key, value, mask, chunk, memory=None, further=None):
    """Runs a recurrence whose state is one memory, at first zero; see `run_causally`.

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
        advance: What one chunk does. Its steps are "query", "key", "value", "real",
            "time" if there are times, and what is `further`.
        state: List of float32 tensors `(B, H or 1, ...)`.
        query: `(B, T, H, M)`.
        key: `(B, S, H, M)`.
        value: `(B, S, H, D)`.
        mask: An `AttentionMask`; causal, whatever it says.
        chunk: Steps of a chunk.
        times: Times of the steps, float32 `(B or 1, T)`, or `None`. Needs T = S. As
            "time", `(B or 1, t, 1)`, they are `NOTHING` where a step is not real.
        parameters: Float32 tensors of any shape, the same at each step.
        further: Dictionary of what else the keys have, `(B, S, H, ...)`, or `None`.

    Returns:
        The output `(B, T, H, D)` in float32, and the state after the last step.
    """
    batch, num_keys, heads, _ = ops.shape(value)
    num_queries = ops.shape(query)[1]
    real = masks.real_keys(mask, batch, num_keys)
    of_keys = {"key": key, "value": value, "real": real[:, :, None, None]}
    of_keys |= further or {}
    steps = {name: as_queries(x, batch, heads) for name, x in of_keys.items()}
    steps["query"] = as_queries(query, batch, heads)
    if times is not None:
        steps["time"] = ops.where(real, times, NOTHING)[:, :, None]
    length = longer(num_queries, num_keys)
    # The last query sees the last key: what is missing is missing in front.
    length = chunk * (-(-length // chunk))
    steps = {
        name: _behind(x, length - ops.shape(x)[1], NOTHING if name == "time" else 0.0)
        for name, x in steps.items()
    }
    constants = {name: steps.pop(name) for name in ("real", "time") if name in steps}
    rows = [_as_rows(x) for x in state]
    output, rows = run_in_chunks(advance, rows, steps, constants, parameters, chunk)
    output = output[:, ops.shape(output)[1] - num_queries :]
    state = [ops.reshape(x, (batch, -1, *x.shape[1:])) for x in rows]
    return from_rows(output, batch, heads), state


def with_one(value):
    """Float32 values with a channel of ones: what comes of it is the sum of weights."""
    value = ops.cast(value, "float32")
    return ops.concatenate([value, ops.ones_like(value[..., :1])], axis=-1)


def over_sum(output, value, mask):
    """Divides `(B, T, H, D + 1)` by the last channel; zero where that is zero.

    Args:
        output: What `with_one(value)` came to.
        value: Its dtype is that of the result.
        mask: An `AttentionMask`, whose padded queries get zero.
    """
    output, total = output[..., :-1], output[..., -1:]
    seen = ops.greater(total, LEAST_TOTAL)
    total = ops.where(seen, total, 1.0)
    # The gradient of a quotient has the square of the total, which may be too small.
    scale = ops.stop_gradient(total)
    output = ops.where(seen, (output / scale) / (total / scale), 0.0)
    return hide_padding(ops.cast(output, value.dtype), mask.queries)


def memory_shape(key, value):
    """The shape of the sums of products of keys and values: `(B, H, M, D)`."""
    batch, _, heads, width = ops.shape(value)
    return batch, heads, key.shape[-1], width


def past(length):
    """`True` where a step of a chunk sees a step: `(1, t, t)`."""
    return masks.past(ops.arange(0, length, dtype="int32"), length, length)[None]


def _as_rows(x):
    """`(B, H, ...)` to `(B * H, ...)`."""
    batch, heads, *rest = ops.shape(x)
    return ops.reshape(x, (batch * heads, *rest))


def longer(length, other):
    """The larger of two lengths, each a number or a tensor."""
    if isinstance(length, int) and isinstance(other, int):
        return max(length, other)
    return ops.maximum(length, other)


def _behind(x, count, fill):
    """`(rows, T, ...)` behind so many steps of a number, if any."""
    if isinstance(count, int) and count == 0:
        return x
    rows, _, *rest = ops.shape(x)
    return ops.concatenate([ops.full((rows, count, *rest), fill, x.dtype), x], axis=1)
