"""Rotary positions: pairs of channels turn with time."""

from keras import ops

LONGEST = 10_000.0


def rotate(x, times):
    """Turns each pair of neighbouring channels by an angle that grows with time.

    The inner product of two vectors then depends on the difference of their times. A
    last channel without a neighbour stays as it is.

    Args:
        x: `(B, T, H, D)`.
        times: Float32 `(B or 1, T)`.

    Returns:
        `(B, T, H, D)` in float32.

    Reference:
        [Su et al., 2021](https://arxiv.org/abs/2104.09864)
    """
    pairs = x.shape[-1] // 2
    x = ops.cast(x, "float32")
    rates = LONGEST ** -(ops.arange(pairs, dtype="float32") / max(pairs, 1))
    angles = times[..., None, None] * rates
    cosine, sine = ops.cos(angles), ops.sin(angles)
    first, second = x[..., : 2 * pairs : 2], x[..., 1::2]
    turned = ops.stack(
        [first * cosine - second * sine, first * sine + second * cosine], axis=-1
    )
    turned = ops.reshape(turned, (*ops.shape(x)[:3], 2 * pairs))
    return ops.concatenate([turned, x[..., 2 * pairs :]], axis=-1)
