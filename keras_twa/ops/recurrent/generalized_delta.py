"""The generalized delta rule of RWKV-7, in time linear in length.

What a step removes from the memory depends on all earlier steps. Within a chunk, what
the steps remove is the solution of a triangular system of equations, which is solved
for all steps at once. The rest is a few matrix products.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent.chunks import chunk_for
from keras_twa.ops.recurrent.linear import run_with_memory

# The decay over a chunk, at least exp(-64 e^-0.5), and its inverse are well within the
# range of float32.
CHUNK = 64


@takes_empty(keys=("key", "value", "log_decay", "removal", "rate"), rows=("memory",))
def generalized_delta_rule(
    query, key, value, log_decay, removal, rate, mask, memory=None
):
    """Computes `q_i M_i` with a memory that forgets, corrects itself, and learns.

    `M_i = diag(exp(log_decay_i)) M_(i-1) - (rate_i removal_i)^T (removal_i M_(i-1)) +
    k_i^T v_i`. A step that is not real does not change the memory.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)`, finite wherever `mask` hides a key, as all arguments below.
        value: `(B, T, H, E)`.
        log_decay: `(B, T, H, D)`, from -e^-0.5 to 0.
        removal: `(B, T, H, D)`, of length 1 at most.
        rate: `(B, T, H, D)`, from 0 to 1.
        mask: An `AttentionMask` without pairs; attention is always causal.
        memory: Float32 `(B, H, D, E)` after the earlier steps, or `None`.

    Returns:
        `(B, T, H, E)` in float32, and the memory after the last step.
    """
    chunk = chunk_for(ops.shape(value)[1], CHUNK)
    further = {"log_decay": log_decay, "removal": removal, "rate": rate}
    return run_with_memory(Advance(), query, key, value, mask, chunk, memory, further)


@dataclass(frozen=True)
class Advance:
    """One chunk; see `run_in_chunks`.

    Let `c` be the running sum of the logarithms of the decays. Then `exp(-c_i) M_i`
    does not decay: step `j` writes with `exp(-c_j)` times its key, and step `i` reads
    with `exp(c_i)` times its query. Exponents are relative to the middle of the chunk,
    which keeps them as small as possible.
    """

    def __call__(self, state, steps):
        (memory,) = state
        real, removal, value = steps["real"], steps["removal"], steps["value"]
        length = ops.shape(value)[1]
        log_decay = steps["log_decay"] * real
        level = ops.cumsum(log_decay, axis=1)
        middle = ops.stop_gradient(level[:, -1:]) * 0.5
        # What is removed was there before the step's own decay.
        asks = removal * ops.exp(level - log_decay - middle)
        reads = steps["query"] * ops.exp(level - middle)
        fresh = ops.exp(middle - level) * real
        writes = [-removal * steps["rate"] * fresh, steps["key"] * fresh]
        writes = ops.concatenate(writes, axis=1)
        memory = memory * _as_column(ops.exp(middle))

        # Rows: steps that ask, then steps that read. Columns: steps that remove, then
        # steps that learn.
        rows = ops.concatenate([asks, reads], axis=1)
        scores = backend.matmul(rows, ops.swapaxes(writes, 1, 2))
        found = backend.matmul(resets.reading(rows, steps), memory)
        seen = resets.seen(steps)
        seen_twice = ops.concatenate([seen, seen], axis=2)
        own = ops.eye(length)[None]
        earlier = ops.where(ops.greater(own, 0.0), False, seen)
        removed = ops.where(earlier, scores[:, :length, :length], 0.0)
        learned = ops.where(earlier, scores[:, :length, length:], 0.0)
        found_by_asking = found[:, :length] + backend.matmul(learned, value)
        asked = ops.solve_triangular(own - removed, found_by_asking, lower=True)

        changes = ops.concatenate([asked, value], axis=1)
        scores = ops.where(seen_twice, scores[:, length:], 0.0)
        output = found[:, length:] + backend.matmul(scores, changes)
        memory = resets.remaining(memory, steps)
        writes = ops.swapaxes(resets.writing(writes, steps), 1, 2)
        memory = memory + backend.matmul(writes, changes)
        return [memory * _as_column(ops.exp(level[:, -1:] - middle))], output


def _as_column(x):
    """`(rows, 1, D)` to `(rows, D, 1)`."""
    return ops.swapaxes(x, 1, 2)
