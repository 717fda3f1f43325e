"""Retention: linear attention whose memory decays, in time linear in length."""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent import subchunks
from keras_twa.ops.recurrent.linear import memory_shape
from keras_twa.ops.recurrent.linear import run_causally
from keras_twa.ops.recurrent.subchunks import NOTHING


@takes_empty(keys=("key", "value", "times"), rows=("memory", "last"))
def retention(
    query, key, value, mask, log_discounts, times=None, memory=None, last=None
):
    """Computes `sum_j gamma^(t_i - t_j) (q_i . k_j) v_j` over the steps up to `i`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; attention is always causal.
        log_discounts: The logarithms of gamma, H Python numbers.
        times: Times of the steps, float32 `(B or 1, T)`, which must not decrease
            within a segment. `None` means 0, 1, 2, ..., without a memory, and is
            faster.
        memory: Float32 `(B, H, D, E)` after the earlier steps, or `None`.
        last: Float32 `(B,)`, the time of the last real earlier step, or `None`.

    Returns:
        `(B, T, H, E)` in float32, the memory, and the time of the last real step; both
        `None` without times.
    """
    batch, length, heads, _ = ops.shape(value)
    if memory is None:
        memory = ops.zeros(memory_shape(key, value))
        last = ops.full((batch,), NOTHING)
    size, count = subchunks.size_and_count(length, heads * batch)
    state = [memory] if times is None else [memory, last[:, None, None]]
    output, state = run_causally(
        Advance(size, tuple(log_discounts)),
        state,
        query,
        key,
        value,
        mask,
        size * count,
        times,
    )
    output = hide_padding(output, mask.queries)
    if times is None:
        return output, None, None
    return output, state[0], state[1][:, 0, 0]


@dataclass(frozen=True)
class Advance:
    """One chunk of retention, in subchunks of `size` steps; see `run_in_chunks`."""

    size: int
    logs: tuple[float, ...]

    def __call__(self, state, steps):
        memory, *before = state
        heads = len(self.logs)
        lags, last = subchunks.lags_of(steps, before, self.size)
        same = resets.of_subchunks(steps, self.size, heads)
        query, key, value = (
            subchunks.split(x, heads, self.size)
            for x in (steps["query"], steps["key"] * steps["real"], steps["value"])
        )
        memory, output = subchunks.weighed(
            query,
            key,
            value,
            memory,
            **subchunks.fading(lags, ops.convert_to_tensor(self.logs, "float32"), same),
        )
        return [memory, *last], output
