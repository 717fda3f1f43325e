"""The state-space model of Mamba-2: a memory that decays at the rate of each step.

Heads of a group share queries and keys. Their scores are computed once per group, and
all values of a group are read from and added to one memory: the decays of a head weigh
its values and outputs, not copies of queries and keys.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent.decayed_pairs import chunk_for
from keras_twa.ops.recurrent.decayed_pairs import decayed_pairs
from keras_twa.ops.recurrent.linear import run_with_memory
from keras_twa.ops.recurrent.subchunks import product

CHUNK = 128


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
    size = heads // groups
    if memory is not None:
        memory = ops.reshape(memory, (batch, groups, size, dim, width))
        memory = ops.reshape(ops.swapaxes(memory, 2, 3), (batch, groups, dim, -1))
    output, memory = run_with_memory(
        Advance(size),
        query,
        key,
        ops.reshape(value, (batch, length, groups, size * width)),
        mask,
        chunk_for(length, CHUNK),
        memory,
        {"log_decay": ops.reshape(log_decay, (batch, length, groups, size))},
    )
    output = ops.reshape(output, (batch, length, heads, width))
    memory = ops.reshape(memory, (batch, groups, dim, size, width))
    memory = ops.reshape(ops.swapaxes(memory, 2, 3), (batch, heads, dim, width))
    return hide_padding(output, mask.queries), memory


@dataclass(frozen=True)
class Advance:
    """One chunk, with one row for each group of `size` heads; see `run_in_chunks`."""

    size: int

    def __call__(self, state, steps):
        (memory,) = state
        query, key, real = steps["query"], steps["key"] * steps["real"], steps["real"]
        decays, read, write, kept = self._decays(steps["log_decay"] * real)
        value = self._heads(steps["value"])
        scores = backend.matmul(query, ops.swapaxes(key, 1, 2))[:, None] * decays
        output = ops.swapaxes(product(scores, ops.swapaxes(value, 1, 2)), 1, 2)
        output = output + self._heads(backend.matmul(query, memory)) * read
        memory = _joined(self._heads(memory) * kept)
        added = backend.matmul(ops.swapaxes(key, 1, 2), _joined(value * write))
        return [memory + added], _joined(output)

    def _decays(self, log_decay):
        """The decays of each head, from the logarithms of each step `(rows, t, h)`.

        Returns:
            The decay from each step to each later one, `(rows, h, t, t)`; from the
            beginning to each step, and from each step to the end, `(rows, t, h, 1)`;
            and that of the whole chunk, `(rows, 1, h, 1)`.
        """
        length = log_decay.shape[1]
        rows = ops.reshape(ops.swapaxes(log_decay, 1, 2), (-1, length, 1))
        ones = ops.ones_like(rows)
        decays, read, write, total = decayed_pairs(ones, ones, rows)
        decays = ops.reshape(decays, (-1, self.size, length, length))
        ends = (
            ops.swapaxes(ops.reshape(x, (-1, self.size, x.shape[1], 1)), 1, 2)
            for x in (read, write, ops.exp(total))
        )
        return decays, *ends

    def _heads(self, x):
        """`(rows, t, h E)` to `(rows, t, h, E)`."""
        return ops.reshape(x, (-1, x.shape[1], self.size, x.shape[2] // self.size))


def _joined(x):
    """`(rows, t, h, E)` to `(rows, t, h E)`."""
    return ops.reshape(x, (-1, x.shape[1], x.shape[2] * x.shape[3]))
