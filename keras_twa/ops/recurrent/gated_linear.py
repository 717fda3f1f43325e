"""Gated linear attention: a memory whose channels decay at different rates."""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent.decayed_pairs import chunk_for
from keras_twa.ops.recurrent.decayed_pairs import decayed_pairs
from keras_twa.ops.recurrent.linear import run_with_memory

CHUNK = 128


@takes_empty(keys=("key", "value", "log_decay"), rows=("memory",))
def gated_linear(query, key, value, mask, log_decay, memory=None):
    """Computes `S_t^T q_t` with `S_t = diag(a_t) S_(t-1) + k_t v_t^T`.

    A padded step does not change `S`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; attention is always causal.
        log_decay: The logarithms of `a`, not positive, `(B, T, H, D)`.
        memory: Float32 `S` `(B, H, D, E)` after the earlier steps, or `None`.

    Returns:
        `(B, T, H, E)` in float32, and the memory after the last step.
    """
    output, memory = run_with_memory(
        Advance(),
        query,
        key,
        value,
        mask,
        chunk_for(ops.shape(value)[1], CHUNK),
        memory,
        {"log_decay": log_decay},
    )
    return hide_padding(output, mask.queries), memory


@dataclass(frozen=True)
class Advance:
    """One chunk of gated linear attention; see `run_in_chunks`."""

    def __call__(self, state, steps):
        (memory,) = state
        value, real = steps["value"], steps["real"]
        scores, reads, writes, total = decayed_pairs(
            steps["query"], steps["key"] * real, steps["log_decay"] * real
        )
        output = backend.matmul(reads, memory) + backend.matmul(scores, value)
        memory = memory * ops.exp(ops.swapaxes(total, 1, 2))
        return [memory + backend.matmul(ops.swapaxes(writes, 1, 2), value)], output
