"""Retention: linear attention whose memory fades, in time linear in length."""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops.chunks import run_in_chunks
from keras_twa.ops.linear import as_rows
from keras_twa.ops.linear import of_rows
from keras_twa.ops.linear import past
from keras_twa.ops.linear import weighed
from keras_twa.ops.tiled import as_queries
from keras_twa.ops.tiled import from_rows

# The time of the last step before there was one.
LONG_AGO = -1e30


def retention(query, key, value, mask, times, log_discounts, memory=None, last=None):
    """Computes `sum_j gamma^(t_i - t_j) (q_i . k_j) v_j` over the steps up to `i`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; causal, whatever it says.
        times: Times of the steps, float32 `(B or 1, T)`. They must not fall.
        log_discounts: The logarithms of gamma, float32 `(H,)`.
        memory: Float32 `(B, H, D, E)` of the steps before, or `None`.
        last: Float32 `(B,)`, the time of the last real one of them, or `None`.

    Returns:
        `(B, T, H, E)` in float32, the memory, and the time of the last real step.
    """
    batch, length, heads, width = ops.shape(value)
    real = ops.ones((batch, length)) if mask.keys is None else mask.keys
    constants = {
        "real": as_queries(real[:, :, None, None], batch, heads),
        "time": as_queries(times[:, :, None, None], batch, heads),
    }
    steps = {
        name: as_queries(x, batch, heads)
        for name, x in (("query", query), ("key", key), ("value", value))
    }
    if memory is None:
        memory = ops.zeros((batch, heads, query.shape[-1], width))
        last = ops.full((batch,), LONG_AGO)
    last = ops.broadcast_to(last[:, None, None, None], (batch, heads, 1, 1))
    logs = ops.broadcast_to(log_discounts[None, :, None, None], (batch, heads, 1, 1))
    output, (memory, last) = run_in_chunks(
        Advance(), [as_rows(memory), as_rows(last)], steps, constants, [as_rows(logs)]
    )
    output = hide_padding(from_rows(output, batch, heads), mask.queries)
    return output, of_rows(memory, batch), of_rows(last, batch)[:, 0, 0, 0]


@dataclass(frozen=True)
class Advance:
    """One chunk of retention; see `run_in_chunks`."""

    def __call__(self, state, steps, log_discount):
        memory, last = state
        # For padding, the clock stands still: its time may be anything.
        seen = running_max(steps["time"], steps["real"], last)
        time, end = ops.maximum(steps["time"], seen), seen[:, -1:]
        seen = ops.swapaxes(seen, 1, 2)
        memory, output = weighed(
            steps["query"],
            steps["key"] * steps["real"],
            steps["value"],
            memory,
            log_discount * (time - seen),
            log_discount * (time - last),
            (log_discount * (end - seen), log_discount * (end - last)),
        )
        return [memory, end], output


def running_max(x, real, before):
    """The largest up to each step of a chunk, of what is real and what was before.

    Args:
        x: `(rows, t, 1)`.
        real: `(rows, t, 1)`, 1 for real steps, else 0.
        before: `(rows, 1, 1)`.
    """
    x = ops.swapaxes(ops.where(ops.greater(real, 0.0), x, LONG_AGO), 1, 2)
    seen = ops.where(past(ops.shape(x)[2]), x, LONG_AGO)
    return ops.maximum(ops.max(seen, axis=-1, keepdims=True), before)
