"""Retention: linear attention whose memory fades, in time linear in length."""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops.linear import NOTHING
from keras_twa.ops.linear import memory_shape
from keras_twa.ops.linear import run_causally
from keras_twa.ops.linear import running_max
from keras_twa.ops.linear import weighed


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
    batch, _, heads, _ = ops.shape(value)
    if memory is None:
        memory = ops.zeros(memory_shape(key, value))
        last = ops.full((batch,), NOTHING)
    one = (batch, heads, 1, 1)
    state = [memory, ops.broadcast_to(last[:, None, None, None], one)]
    logs = ops.broadcast_to(log_discounts[None, :, None, None], one)
    output, (memory, last) = run_causally(
        Advance(), state, query, key, value, mask, times, [logs]
    )
    return hide_padding(output, mask.queries), memory, last[:, 0, 0, 0]


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
