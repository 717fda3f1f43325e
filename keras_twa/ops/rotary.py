"""Rotary positions: pairs of channels rotate with time."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.ops import backend

LONGEST = 10_000.0
# Step indices up to 2^31 have this many digits in this base.
BASE, DIGITS = 16, 8
# Pairs that make at least this many turns in the original length keep their rate; the
# rate of those that make at most one is divided. Both numbers are the paper's.
MOST_TURNS, LEAST_TURNS = 32.0, 1.0


def rotate(x, times, rates=None):
    """Rotates each pair of neighbouring channels by an angle that grows with time.

    The inner product of two vectors then depends on the difference of their times. If
    D is odd, the last channel stays unchanged.

    Args:
        x: `(B, T, H, D)`.
        times: `(B or 1, T)`, float32, or int32 for step indices, whose angles stay
            accurate however large they are.
        rates: Angle per unit of time of each pair, a NumPy array `(D // 2,)`. Defaults
            to `10_000^(-2i / D)`.

    Returns:
        `(B, T, H, D)` in float32.

    Reference:
        [Su et al., 2021](https://arxiv.org/abs/2104.09864)
    """
    pairs = x.shape[-1] // 2
    x = ops.cast(x, "float32")
    rates = rotary_rates(pairs) if rates is None else rates
    angles = angles_at(times, rates)[:, :, None]
    shape = ops.shape(x)[:3]
    turned = ops.reshape(x[..., : 2 * pairs], (*shape, pairs, 2))
    turned = backend.turned(turned, ops.cos(angles), ops.sin(angles))
    turned = ops.reshape(turned, (*shape, 2 * pairs))
    if x.shape[-1] == 2 * pairs:
        return turned
    return ops.concatenate([turned, x[..., 2 * pairs :]], axis=-1)


def angles_at(times, rates):
    """The angles by which pairs of channels rotate, float32 `(B or 1, T, pairs)`.

    A float32 angle of `n` turns loses as many digits as `n` has. So step indices are
    split into digits, `n = sum_k d_k BASE^k`, and the angle of `BASE^k` steps is taken
    modulo one turn. The sum then stays small.

    Args:
        times: `(B or 1, T)`, float32 or int32.
        rates: Angle per unit of time, a NumPy array `(pairs,)`.
    """
    if "int" not in keras.backend.standardize_dtype(times.dtype):
        return times[..., None] * ops.convert_to_tensor(rates, dtype="float32")
    rates = np.asarray(rates, "float64")
    angles, left = 0.0, times
    for power in range(DIGITS):
        # The most significant digit carries the sign.
        digit = left % BASE if power < DIGITS - 1 else left
        turn = np.mod(BASE**power * rates + math.pi, 2 * math.pi) - math.pi
        turn = ops.convert_to_tensor(turn, dtype="float32")
        angles = angles + ops.cast(digit, "float32")[..., None] * turn
        left = left // BASE
    return angles


def rotary_rates(pairs, max_wavelength=LONGEST, factor=1.0, original_length=None):
    """The rates of rotary positions, for a context that is `factor` times as long.

    Args:
        pairs: How many pairs of channels there are.
        max_wavelength: The longest wavelength is less than 2 pi times this.
        factor: Number that times are divided by (position interpolation).
        original_length: If given, only slow pairs are slowed down, as in YaRN: pairs
            that make at most one turn in this length by `factor`, pairs that make at
            least 32 not at all, and those between in proportion.

    Returns:
        A NumPy array `(pairs,)`.

    Reference:
        [Chen et al., 2023](https://arxiv.org/abs/2306.15595),
        [Peng et al., 2023](https://arxiv.org/abs/2309.00071)
    """
    rates = float(max_wavelength) ** -(np.arange(pairs) / max(pairs, 1))
    kept = 0.0
    if original_length is not None:
        turns = original_length * rates / (2 * math.pi)
        kept = (turns - LEAST_TURNS) / (MOST_TURNS - LEAST_TURNS)
        kept = np.clip(kept, 0.0, 1.0)
    return rates * (kept + (1.0 - kept) / factor)
