"""Token shift: each step also gets the input of the previous step."""

from keras import ops

from keras_twa.ops.gather import steps_at


def previous_real(x, real=None, before=None):
    """The input of the last real step before each step.

    Args:
        x: `(B, T, F)`, finite wherever a step is not real.
        real: Boolean `(B, T)`, `True` for real steps, or `None` if all are real.
        before: `(B, F)`, the last real input of an earlier call. Defaults to zeros.

    Returns:
        `(B, T, F)`, and the last real input of each row `(B, F)`.
    """
    batch, length, width = ops.shape(x)
    if before is None:
        before = ops.zeros((batch, width), x.dtype)
    x = ops.concatenate([ops.cast(before, x.dtype)[:, None], x], axis=1)
    if real is not None:
        real = ops.concatenate([ops.ones((batch, 1), "bool"), real], axis=1)
        x = steps_at(x, _last_real(real, length + 1))
    # A view would keep the whole sequence alive.
    return x[:, :-1], ops.copy(x[:, -1])


def _last_real(real, length):
    """The index of the last real step up to each step; the first step is real."""
    steps = ops.arange(0, length, dtype="int32")
    # The real steps in order, and all others after them.
    in_order = ops.sort(ops.where(real, steps, steps + length), axis=1)
    count = ops.cumsum(ops.cast(real, "int32"), axis=1)
    return ops.take_along_axis(in_order, count - 1, axis=1)
