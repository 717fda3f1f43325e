"""Gated linear attention: a memory whose channels decay at different rates."""

import math
from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent import subchunks
from keras_twa.ops.recurrent.decayed_pairs import decayed_pairs
from keras_twa.ops.recurrent.linear import run_with_memory
from keras_twa.ops.recurrent.subchunks import NOTHING
from keras_twa.ops.splitting import even_size

# A power of two.
SUBCHUNK = 64
# Longer chunks would not fit the cache of a core, shorter ones need more operations.
STEPS_AT_ONCE = 2**13


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
    batch, length, heads, _ = ops.shape(value)
    size, count = size_and_count(length, batch * heads)
    chunk, further = size * count, {"log_decay": log_decay}
    output, memory = run_with_memory(
        Advance(size), query, key, value, mask, chunk, memory, further
    )
    return hide_padding(output, mask.queries), memory


def size_and_count(length, rows):
    """Number of steps in a subchunk, a power of two, and of subchunks in a chunk.

    Args:
        length: Number of steps, an integer where it is known.
        rows: Sequences times heads, an integer where it is known.
    """
    if not isinstance(length, int):
        return SUBCHUNK, 1
    size = min(SUBCHUNK, 1 << (max(length, 1) - 1).bit_length())
    number = math.ceil(max(length, 1) / size)
    most = STEPS_AT_ONCE // (size * max(rows, 1)) if isinstance(rows, int) else 1
    return size, even_size(min(max(most, 1), number), number)


@dataclass(frozen=True)
class Advance:
    """One chunk, in subchunks of `size` steps; see `run_in_chunks`."""

    size: int

    def __call__(self, state, steps):
        (memory,) = state
        real, shape = steps["real"], ops.shape(steps["value"])
        # The first step of a segment forgets everything.
        log_decay = resets.continuing(steps["log_decay"] * real, steps, NOTHING)
        query, key, log_decay, value = (
            ops.reshape(x, (-1, self.size, x.shape[2]))
            for x in (
                steps["query"],
                steps["key"] * real,
                log_decay,
                steps["value"],
            )
        )
        scores, reads, writes, total = decayed_pairs(query, key, log_decay)
        added = subchunks.product(ops.swapaxes(writes, 1, 2), value)
        count = steps["value"].shape[1] // self.size
        memory, before = _memories(memory, added, total, count)
        output = subchunks.product(reads, before) + subchunks.product(scores, value)
        return [memory], ops.reshape(output, shape)


def _memories(memory, added, log_decay, count):
    """The memory after the last subchunk, and before each of them.

    Args:
        memory: `(rows, D, E)`.
        added: What each subchunk adds, `(rows * count, D, E)`.
        log_decay: The logarithms of its decays, `(rows * count, 1, D)`.
        count: Number of subchunks.
    """
    dim, width = memory.shape[1:]
    added = ops.reshape(added, (-1, count, dim, width))
    memories = ops.concatenate([memory[:, None], added], axis=1)
    log_decay = ops.reshape(log_decay, (-1, count, dim))
    # Channels first: for each, another share of the memories remains.
    carried = subchunks.lasting_memories(ops.swapaxes(log_decay, 1, 2))
    memories = subchunks.product(carried, ops.swapaxes(memories, 1, 2))
    memories = ops.swapaxes(memories, 1, 2)
    before = ops.reshape(memories[:, :-1], (-1, dim, width))
    # A view would keep all memories alive.
    return ops.copy(memories[:, -1]), before
