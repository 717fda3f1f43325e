"""Retention at several discounts, which share queries, keys and values.

Each further discount costs its memory, and one more weighting of the scores of a chunk,
which are computed once.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent import subchunks
from keras_twa.ops.recurrent.linear import run_causally
from keras_twa.ops.recurrent.subchunks import NOTHING


@takes_empty(keys=("key", "value", "times"), rows=("memory", "last"))
def multi_timescale_retention(
    query, key, value, mask, log_discounts, times=None, mix=None, memory=None, last=None
):
    """Computes `y_n = sum_j gamma_n^(t_i - t_j) (q_i . k_j) v_j` for N gammas.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; attention is always causal.
        log_discounts: The logarithms of the N gammas, float32 `(N,)`.
        times: Times of the steps, float32 `(B or 1, T)`, which must not decrease
            within a segment. `None` means 0, 1, 2, ..., without a memory, and is
            faster.
        mix: Float32 `(H, N)`, or `None`. If given, the output is `sum_n mix_n y_n`, at
            little more than the cost of one discount.
        memory: Float32 `(B, H, D, N, E)` after the earlier steps, or `None`.
        last: Float32 `(B,)`, the time of the last real earlier step, or `None`.

    Returns:
        `(B, T, H, N, E)`, or with `mix` `(B, T, H, 1, E)`, in float32; the memory, and
        the time of the last real step, both `None` without times.
    """
    batch, length, heads, width = ops.shape(value)
    count = log_discounts.shape[0]
    if memory is None:
        memory = ops.zeros((batch, heads, key.shape[-1], count, width))
        last = ops.full((batch,), NOTHING)
    kinds = count if mix is None else 1
    size, number = subchunks.size_and_count(length, batch * heads * kinds)
    output, state = run_causally(
        Advance(size, heads),
        [memory] if times is None else [memory, last[:, None, None]],
        query,
        key,
        value,
        mask,
        size * number,
        times,
        [log_discounts] if mix is None else [log_discounts, mix],
    )
    output = hide_padding(output, mask.queries)
    output = ops.reshape(output, (batch, length, heads, kinds, width))
    if times is None:
        return output, None, None
    return output, state[0], state[1][:, 0, 0]


@dataclass(frozen=True)
class Advance:
    """One chunk of retention at several discounts; see `run_in_chunks`."""

    size: int
    heads: int

    def __call__(self, state, steps, logs, mix=None):
        memory, *before = state
        lags, last = subchunks.lags_of(steps, before, self.size)
        # (b, N, n or 1, t, t or 1), and (b, N, n + 1, n + 1).
        same = resets.of_subchunks(steps, self.size, self.heads)
        fades = subchunks.fading(lags, logs, same)
        query, key, value = (
            subchunks.split(x, self.heads, self.size)
            for x in (steps["query"], steps["key"] * steps["real"], steps["value"])
        )
        read, write = (_behind_steps(fades[name]) for name in ("read", "write"))
        memories = self._memories(memory, key, value[..., None, :] * write, fades)
        known = subchunks.product(query, _flat(memories[:, :, :-1]))
        known = ops.reshape(known, (*ops.shape(known)[:-1], *ops.shape(memories)[-2:]))
        known = known * read
        scores = subchunks.product(query, ops.swapaxes(key, -1, -2))
        if mix is not None:
            # h: heads, d: discounts, n: subchunks, t and s: time, e: width of a value.
            inside = ops.einsum("hd,bdnts->bhnts", mix, fades["inside"])
            known = ops.einsum("hd,bhntde->bhnte", mix, known)
            output = subchunks.product(scores * inside, value) + known
        else:
            inside = ops.swapaxes(fades["inside"], 1, 2)[:, None]
            weights = scores[:, :, :, None] * inside
            shape = ops.shape(scores)
            weights = ops.reshape(weights, (*shape[:3], -1, self.size))
            output = subchunks.product(weights, value)
            width = value.shape[-1]
            output = ops.reshape(output, (*shape[:3], -1, self.size, width))
            output = _flat(ops.swapaxes(output, 3, 4) + known)
        end = ops.reshape(subchunks.last_of(memories), ops.shape(memory))
        return [end, *last], subchunks.joined(output)

    def _memories(self, memory, key, value, fades):
        """The memories before each subchunk and after the last.

        Returns:
            `(B, H, n + 1, D, N, E)`.
        """
        added = subchunks.product(ops.swapaxes(key, -1, -2), _flat(value))
        _, *shape = ops.shape(memory)
        added = ops.reshape(added, (*ops.shape(added)[:-1], *shape[1:]))
        memory = ops.reshape(memory, (-1, self.heads, 1, *shape))
        memories = ops.concatenate([memory, added], axis=2)
        batch, _, number = ops.shape(memories)[:3]
        carried = fades["carried"]
        carried = ops.broadcast_to(carried, (batch, carried.shape[1], number, number))
        # b: batch, h: heads, m and n: subchunks, d: discounts, k and e: widths.
        return ops.einsum("bdnm,bhmkde->bhnkde", carried, memories)


def _behind_steps(weights):
    """`(b, N, n, t, 1)` to `(b, 1, n, t, N, 1)`."""
    return ops.transpose(weights, (0, 2, 3, 1, 4))[:, None]


def _flat(x):
    """Merges the last two axes."""
    *shape, rows, columns = ops.shape(x)
    return ops.reshape(x, (*shape, rows * columns))
