"""The gated delta rule: a memory that decays, and corrects its value for a key.

A step writes the difference between its value and what the memory returns for its key.
So each write depends on all earlier ones, and a chunk of steps is a system of linear
equations with a unit lower triangular matrix. This is the WY representation of Bischof
and Van Loan (1987). Once the system is solved, the chunk is a few matrix products.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent import subchunks
from keras_twa.ops.recurrent.chunks import chunk_for
from keras_twa.ops.recurrent.linear import run_with_memory

# The pairs of a chunk cost as much as its memory at about this many steps.
CHUNK = 64
# A step with a smaller logarithm of its decay has forgotten everything.
LEAST_LOG_DECAY = -50.0


@takes_empty(keys=("key", "value", "log_decay", "rate"), rows=("memory",))
def gated_delta(query, key, value, mask, log_decay, rate, memory=None):
    """Computes `S_t^T q_t`, `S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T`.

    A padded step does not change `S`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)` of length 1 at most, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; attention is always causal.
        log_decay: The logarithms of `a`, not positive, `(B, T, H, 1)`.
        rate: `b`, from 0 to 2, `(B, T, H, 1)`.
        memory: Float32 `S` `(B, H, D, E)` after the earlier steps, or `None`.

    Returns:
        `(B, T, H, E)` in float32, and the memory after the last step.
    """
    chunk = chunk_for(ops.shape(value)[1], CHUNK)
    further = {"log_decay": log_decay, "rate": rate}
    output, memory = run_with_memory(
        Advance(), query, key, value, mask, chunk, memory, further
    )
    return hide_padding(output, mask.queries), memory


@dataclass(frozen=True)
class Advance:
    """One chunk of the gated delta rule; see `run_in_chunks`."""

    def __call__(self, state, steps):
        (memory,) = state
        query, key, real = steps["query"], steps["key"], steps["real"]
        rate = steps["rate"] * real
        log_decay = ops.maximum(steps["log_decay"], LEAST_LOG_DECAY) * real
        length = ops.shape(key)[1]
        past = resets.past(length)
        lasting = subchunks.lasting(log_decay[..., 0], resets.seen(steps))
        level = resets.reading(ops.exp(ops.cumsum(log_decay, axis=1)), steps)
        keys = ops.swapaxes(key, 1, 2)
        # What a step reads from the earlier steps of the chunk, and from the memory.
        found = backend.matmul(key, keys) * lasting * rate
        system = ops.where(ops.swapaxes(past, 1, 2), ops.eye(length), found)
        missing = steps["value"] - backend.matmul(key * level, memory)
        written = ops.solve_triangular(system, missing * rate, lower=True)
        scores = backend.matmul(query, keys) * lasting
        output = backend.matmul(query * level, memory)
        output = output + backend.matmul(scores, written)
        memory = memory * level[:, -1:]
        return [memory + backend.matmul(keys * lasting[:, -1:], written)], output
