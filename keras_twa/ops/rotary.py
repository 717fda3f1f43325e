"""Rotary positions: pairs of channels turn with time."""

import math

import numpy as np
from keras import ops

from keras_twa.ops import backend

LONGEST = 10_000.0
# Channels that turn at least so often in the original length keep their rate, and those
# that turn no more than once have it divided: the paper's numbers.
MOST_TURNS, LEAST_TURNS = 32.0, 1.0


def rotate(x, times, rates=None):
    """Turns each pair of neighbouring channels by an angle that grows with time.

    The inner product of two vectors then depends on the difference of their times. A
    last channel without a neighbour stays as it is.

    Args:
        x: `(B, T, H, D)`.
        times: Float32 `(B or 1, T)`.
        rates: Angle per unit of time of each pair, `(D // 2,)`. Defaults to
            `10_000^(-2i / D)`.

    Returns:
        `(B, T, H, D)` in float32.

    Reference:
        [Su et al., 2021](https://arxiv.org/abs/2104.09864)
    """
    pairs = x.shape[-1] // 2
    x = ops.cast(x, "float32")
    if rates is None:
        rates = LONGEST ** -(ops.arange(0, pairs, dtype="float32") / max(pairs, 1))
    else:
        rates = ops.convert_to_tensor(rates, dtype="float32")
    angles = times[..., None, None] * rates
    shape = ops.shape(x)[:3]
    turned = ops.reshape(x[..., : 2 * pairs], (*shape, pairs, 2))
    turned = backend.turned(turned, ops.cos(angles), ops.sin(angles))
    turned = ops.reshape(turned, (*shape, 2 * pairs))
    if x.shape[-1] == 2 * pairs:
        return turned
    return ops.concatenate([turned, x[..., 2 * pairs :]], axis=-1)


def rotary_rates(pairs, max_wavelength=LONGEST, factor=1.0, original_length=None):
    """The rates of rotary positions, for a context that is `factor` times as long.

    Args:
        pairs: How many pairs of channels there are.
        max_wavelength: The longest wavelength is less than 2 pi times this.
        factor: What times are divided by (position interpolation).
        original_length: With it, only the slow pairs are slowed down: those that turn
            no more than once in that length by `factor`, those that turn 32 times not
            at all, and those between in proportion (the rates of YaRN).

    Returns:
        A float32 array `(pairs,)`.

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
    return (rates * (kept + (1.0 - kept) / factor)).astype("float32")
