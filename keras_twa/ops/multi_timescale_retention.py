"""Retention at several discounts, which share queries, keys and values.

What one more discount costs is its memory, and one more weighting of the scores of a
chunk, which are computed once.
"""

import math
from dataclasses import dataclass

from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.linear import NOTHING
from keras_twa.ops.linear import past
from keras_twa.ops.linear import run_causally
from keras_twa.ops.linear import running_max


def multi_timescale_retention(
    query, key, value, mask, times, log_discounts, mix=None, memory=None, last=None
):
    """Computes `y_n = sum_j gamma_n^(t_i - t_j) (q_i . k_j) v_j` for N gammas.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, T, H, D)`, finite wherever `mask` hides a key.
        value: `(B, T, H, E)`, finite likewise.
        mask: An `AttentionMask` without pairs; causal, whatever it says.
        times: Times of the steps, float32 `(B or 1, T)`. They must not fall.
        log_discounts: The logarithms of the N gammas, float32 `(N,)`.
        mix: Float32 `(H, N)`, or `None`. With it, the output is `sum_n mix_n y_n`, for
            little more than the price of one discount.
        memory: Float32 `(B, H, D, N, E)` of the steps before, or `None`.
        last: Float32 `(B,)`, the time of the last real one of them, or `None`.

    Returns:
        `(B, T, H, N, E)`, or with `mix` `(B, T, H, 1, E)`, in float32; the memory, and
        the time of the last real step.
    """
    batch, length, heads, width = ops.shape(value)
    count = log_discounts.shape[0]
    if memory is None:
        memory = ops.zeros((batch, heads, key.shape[-1], count, width))
        last = ops.full((batch,), NOTHING)
    state = [memory, ops.broadcast_to(last[:, None, None, None], (batch, heads, 1, 1))]
    parameters = [log_discounts[None]] if mix is None else [log_discounts[None], mix]
    output, (memory, last) = run_causally(
        Advance(),
        state,
        query,
        key,
        value,
        mask,
        times,
        [ops.broadcast_to(x, (batch, heads, count)) for x in parameters],
    )
    output = hide_padding(output, mask.queries)
    split = (batch, length, heads, count if mix is None else 1, width)
    return ops.reshape(output, split), memory, last[:, 0, 0, 0]


@dataclass(frozen=True)
class Advance:
    """One chunk of retention at several discounts; see `run_in_chunks`."""

    def __call__(self, state, steps, logs, mix=None):
        memory, last = state
        query, value = steps["query"], steps["value"]
        key = ops.swapaxes(steps["key"] * steps["real"], 1, 2)
        rows, length, width = ops.shape(value)
        # For padding, the clock stands still: its time may be anything.
        seen = running_max(steps["time"], steps["real"], last)
        time, end = ops.maximum(steps["time"], seen), seen[:, -1:]
        lags = time - ops.swapaxes(seen, 1, 2)

        # (rows, N, t, t), masked before the exponential: what is ahead may be beyond
        # all bounds.
        fades = logs[:, :, None, None] * lags[:, None]
        fades = ops.exp(ops.where(past(length)[:, None], fades, -math.inf))
        logs = logs[:, None]
        known = backend.matmul(query, ops.reshape(memory, (rows, key.shape[1], -1)))
        known = ops.reshape(known, (rows, length, -1, width))
        known = known * ops.exp(logs * (time - last))[..., None]
        if mix is not None:
            # r: rows, n: discounts, t and s: time, e: width of a value.
            fades = ops.einsum("rn,rnts->rts", mix, fades)[:, None]
            known = ops.einsum("rn,rtne->rte", mix, known)[:, :, None]
        weights = backend.matmul(query, key)[:, None] * fades
        output = backend.matmul(ops.reshape(weights, (rows, -1, length)), value)
        output = ops.reshape(output, (rows, -1, length, width))
        output = ops.swapaxes(output, 1, 2) + known

        lasting = value[:, :, None] * ops.exp(logs * (end - seen))[..., None]
        new = backend.matmul(key, ops.reshape(lasting, (rows, length, -1)))
        memory = memory * ops.exp(logs * (end - last))[..., None]
        memory = memory + ops.reshape(new, ops.shape(memory))
        return [memory, end], ops.reshape(output, (rows, length, -1))
