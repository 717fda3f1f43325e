"""Rotary positions: pairs of channels turn with time."""

from keras import ops

from keras_twa.ops import backend

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
    shape = ops.shape(x)[:3]
    turned = ops.reshape(x[..., : 2 * pairs], (*shape, pairs, 2))
    turned = backend.turned(turned, ops.cos(angles), ops.sin(angles))
    turned = ops.reshape(turned, (*shape, 2 * pairs))
    if x.shape[-1] == 2 * pairs:
        return turned
    return ops.concatenate([turned, x[..., 2 * pairs :]], axis=-1)
