"""The gated delta rule: a memory that fades, and corrects what it holds of a key.

A step writes what its value differs by from what the memory already gives for its key.
So it depends on all that is written before it, and a chunk of steps is a system of
linear equations with a unit lower triangle, which the representation of Bischof and
Van Loan (1987, "WY") gives: solved once, the chunk is products of matrices again.
"""

import math
from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent.chunks import chunk_for
from keras_twa.ops.recurrent.linear import past
from keras_twa.ops.recurrent.linear import run_with_memory

# The pairs of a chunk cost as much as its memory at about this many steps.
CHUNK = 64
# A step that fades more has forgotten all.
LEAST_LOG_DECAY = -50.0


@takes_empty(keys=("key", "value", "log_decay", "rate"), rows=("memory",))
def gated_delta(query, key, value, mask, log_decay, rate, memory=None):
    """Computes `S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T`, `S_t^T q_t`.

    A padded step leaves `S` as it is.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)` of length 1 at most, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; causal, whatever it says.
        log_decay: The logarithms of `a`, not positive, `(B, T, H, 1)`.
        rate: The `b`, from 0 to 1, `(B, T, H, 1)`.
        memory: Float32 `S` `(B, H, D, E)` of the steps before, or `None`.

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
        seen = past(length)
        later = ops.logical_not(ops.swapaxes(seen, 1, 2))
        # Of each step what fades after it, added up: no difference of large sums.
        lasting = ops.cumsum(ops.where(later, log_decay, 0.0), axis=1)
        lasting = ops.exp(ops.where(seen, lasting, -math.inf))
        level = ops.exp(ops.cumsum(log_decay, axis=1))
        keys = ops.swapaxes(key, 1, 2)
        # What a step finds of the earlier ones of the chunk, and of the memory.
        found = backend.matmul(key, keys) * lasting * rate
        system = ops.where(ops.swapaxes(seen, 1, 2), ops.eye(length), found)
        missing = steps["value"] - backend.matmul(key * level, memory)
        written = ops.solve_triangular(system, missing * rate, lower=True)
        scores = backend.matmul(query, keys) * lasting
        output = backend.matmul(query * level, memory)
        output = output + backend.matmul(scores, written)
        memory = memory * level[:, -1:]
        return [memory + backend.matmul(keys * lasting[:, -1:], written)], output
