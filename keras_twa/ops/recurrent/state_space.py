"""The state-space model of Mamba-2: a memory that each step decays by its own factor.

Heads of a group share queries and keys. Their scores are computed once, and each head
weighs them by its decays.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent import subchunks
from keras_twa.ops.recurrent.linear import run_causally
from keras_twa.ops.recurrent.subchunks import NOTHING


@takes_empty(keys=("key", "value", "log_decay"), rows=("memory",))
def state_space(query, key, value, mask, log_decay, memory=None):
    """Computes `S_t^T q_t` with `S_t = a_t S_(t-1) + k_t v_t^T`, in groups of heads.

    A padded step does not change `S`.

    Args:
        query: `(B, T, G, D)`. G divides H, and H / G consecutive heads share queries
            and keys.
        key: `(B, T, G, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; attention is always causal.
        log_decay: The logarithms of `a`, not positive, `(B, T, H, 1)`.
        memory: Float32 `S` `(B, H, D, E)` after the earlier steps, or `None`.

    Returns:
        `(B, T, H, E)` in float32, and the memory after the last step.
    """
    batch, length, heads, width = ops.shape(value)
    groups, dim = key.shape[2:]
    each = heads // groups
    shape = (batch, groups, each, dim, width)
    memory = ops.zeros(shape) if memory is None else ops.reshape(memory, shape)
    size, count = subchunks.size_and_count(length, batch * heads, max(dim, width))
    # One row for each group, with the values of its heads side by side.
    value = ops.reshape(value, (batch, length, groups, each * width))
    log_decay = ops.reshape(log_decay, (batch, length, groups, each))
    output, (memory,) = run_causally(
        Advance(size, each),
        [memory],
        query,
        key,
        value,
        mask,
        size * count,
        further={"log_decay": log_decay},
    )
    output = ops.reshape(output, (batch, length, heads, width))
    memory = ops.reshape(memory, (batch, heads, dim, width))
    return hide_padding(output, mask.queries), memory


@dataclass(frozen=True)
class Advance:
    """One chunk of a group of `heads`, in subchunks of `size`; see `run_in_chunks`."""

    size: int
    heads: int

    def __call__(self, state, steps):
        (memory,) = state
        real = steps["real"]
        query, key = (
            subchunks.split(x, 1, self.size)
            for x in (steps["query"], steps["key"] * real)
        )
        # The first step of a segment forgets everything.
        log_decay = resets.continuing(steps["log_decay"] * real, steps, NOTHING)
        log_decay = self._by_head(log_decay)[..., 0]
        level = ops.cumsum(log_decay, axis=-1)
        inside = subchunks.lasting(log_decay)
        memory, output = subchunks.weighed(
            query,
            key,
            self._by_head(steps["value"]),
            memory,
            inside,
            subchunks.lasting_memories(level[..., -1]),
            ops.exp(level)[..., None],
            inside[..., -1, :, None],
        )
        length, width = output.shape[1:]
        output = ops.reshape(output, (-1, self.heads, length, width))
        output = ops.swapaxes(output, 1, 2)
        return [memory], ops.reshape(output, (-1, length, self.heads * width))

    def _by_head(self, x):
        """`(rows, n * t, heads * E)` to `(rows, heads, n, t, E)`."""
        shape = (-1, x.shape[1] // self.size, self.size, self.heads)
        x = ops.reshape(x, (*shape, x.shape[2] // self.heads))
        return ops.transpose(x, (0, 3, 1, 2, 4))
