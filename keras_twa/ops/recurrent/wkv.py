"""The weighted key-value sums of RWKV-4, in time linear in length.

Channels are independent, each with its own decay: there are no matrix products, only
recurrences. These take about two operations per step, at a depth logarithmic in the
length of a chunk.
"""

import operator
from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.masks import real_keys
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.recurrent import resets
from keras_twa.ops.recurrent.chunks import chunk_for
from keras_twa.ops.recurrent.chunks import run_in_chunks
from keras_twa.ops.recurrent.subchunks import NOTHING

# The largest weight is about 1: with a smaller sum, no step was seen.
LEAST_TOTAL = 1e-6
# Longer than chunks with scores of pairs: here, long chunks cost no more.
CHUNK = 512


@takes_empty(queries=(), rows=("sums", "maximum"))
def wkv(key, value, decay, bonus, mask, sums=None, maximum=None):
    """Computes a weighted mean of the values up to each step, channel by channel.

    The weight of the step itself is `exp(bonus + k_i)`; that of a step `n` real steps
    before it is `exp(k_j - (n - 1) decay)`. A step that sees no real step gets zero.

    Args:
        key: `(B, T, H, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, D)`, finite likewise.
        decay: Float32 `(H, D)`, positive.
        bonus: Float32 `(H, D)`.
        mask: An `AttentionMask` without pairs; attention is always causal.
        sums: Float32 `(B, 2, H, D)`, the sums of weighted values and of weights of the
            earlier steps, or `None`.
        maximum: Float32 `(B, H, D)`. The weights in `sums` are divided by its
            exponential.

    Returns:
        `(B, T, H, D)` in the dtype of `value`, the sums, and the maximum.
    """
    batch, length, heads, dim = ops.shape(value)
    channels = heads * dim
    if sums is None:
        sums = ops.zeros((batch, 2, heads, dim))
        maximum = ops.full((batch, heads, dim), NOTHING)
    real = real_keys(mask, batch, length)
    steps = {
        name: ops.reshape(ops.cast(x, "float32"), (batch, length, channels))
        for name, x in {"key": key, "value": value}.items()
    }
    output, (sums, maximum) = run_in_chunks(
        Advance(),
        [
            ops.reshape(sums, (batch, 1, 2, channels)),
            ops.reshape(maximum, (batch, 1, channels)),
        ],
        steps,
        {"real": ops.cast(real, "float32")[..., None], **resets.constants(mask)},
        [ops.reshape(x, (channels,)) for x in (decay, bonus)],
        chunk=chunk_for(length, CHUNK),
    )
    output = ops.reshape(output, (batch, length, heads, dim))
    return (
        hide_padding(ops.cast(output, value.dtype), mask.queries),
        # Views would keep a whole chunk alive.
        ops.copy(ops.reshape(sums, (batch, 2, heads, dim))),
        ops.copy(ops.reshape(maximum, (batch, heads, dim))),
    )


@dataclass(frozen=True)
class Advance:
    """One chunk; see `run_in_chunks`. The axes are row, step, and channel."""

    def __call__(self, state, steps, decay, bonus):
        sums, maximum = state
        value, real = steps["value"], steps["real"]
        key = ops.where(ops.greater(real, 0.0), steps["key"], NOTHING)
        fade = -decay * real

        # The largest logarithm of a weight, before each step and after it. All weights
        # are divided by its exponential, so that it cancels and needs no gradient.
        gates = resets.continuing(fade, steps, NOTHING)
        start, x, gates = map(ops.stop_gradient, (maximum, key, gates))
        before, after = recurrence(start, x, gates, operator.add, ops.maximum)
        before = resets.continuing(before, steps, NOTHING)
        # If there is no real step yet, padding has the largest weight.
        weight = ops.exp(key - after) * real
        found = ops.stack([weight * value, weight], axis=2)
        kept = resets.continuing(ops.exp(before + fade - after), steps)[:, :, None]
        sums, ends = recurrence(sums, found, kept, operator.mul, operator.add)
        sums = resets.continuing(sums, steps)

        now = key + bonus
        largest = ops.stop_gradient(ops.maximum(before, now))
        old, new = ops.exp(before - largest), ops.exp(now - largest) * real
        total = old * sums[:, :, 1] + new
        output = old * sums[:, :, 0] + new * value
        output = output / ops.maximum(total, LEAST_TOTAL)
        return [ends[:, -1:], after[:, -1:]], output


def recurrence(start, x, gates, times, plus):
    """Computes `y_i = gate_i times y_(i-1) plus x_i`.

    Args:
        start: The value before the first step, `(rows, 1, ...)`.
        x: `(rows, t, ...)`, with a known t.
        gates: `(rows, t, ...)`.
        times: Associative function of two tensors.
        plus: Another one, over which `times` distributes.

    Returns:
        All `y_(i-1)` and all `y_i`, `(rows, t, ...)`.
    """
    first = plus(times(gates[:, :1], start), x[:, :1])
    x = ops.concatenate([first, x[:, 1:]], axis=1)
    found = _prefixes(x, gates, times, plus)
    return ops.concatenate([start, found[:, :-1]], axis=1), found


def _prefixes(x, gates, times, plus):
    """The same, starting with `y_0 = x_0`.

    It combines each pair of steps into one, recurses, and fills in the steps between.
    """
    length = x.shape[1]
    if length == 1:
        return x
    first, second = _in_pairs(x)
    into_first, into_second = _in_pairs(gates)
    ends = plus(times(into_second, first), second)
    ends = _prefixes(ends, times(into_first, into_second), times, plus)
    later = plus(times(into_first[:, 1:], ends[:, :-1]), first[:, 1:])
    starts = ops.concatenate([x[:, :1], later], axis=1)
    found = ops.stack([starts, ends], axis=2)
    found = ops.reshape(found, (-1, 2 * (length // 2), *found.shape[3:]))
    if length % 2 == 0:
        return found
    last = plus(times(gates[:, -1:], ends[:, -1:]), x[:, -1:])
    return ops.concatenate([found, last], axis=1)


def _in_pairs(x):
    """The first and the second step of each pair."""
    pairs = x.shape[1] // 2
    x = ops.reshape(x[:, : 2 * pairs], (-1, pairs, 2, *x.shape[2:]))
    return x[:, :, 0], x[:, :, 1]
