"""The last real steps before each step: for token shift and short convolutions."""

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
    before = None if before is None else before[:, None]
    (found,), last = earlier_real(x, 1, real, before)
    return found, last[:, 0]


def earlier_real(x, count, real=None, before=None):
    """The last real steps before each step.

    Args:
        x: `(B, T, ...)`, finite wherever a step is not real.
        count: How many steps to find.
        real: Boolean `(B, T)`, `True` for real steps, or `None` if all are real.
        before: `(B, count, ...)`, the last real steps of an earlier call. Defaults to
            zeros.

    Returns:
        A list of `count` tensors `(B, T, ...)`, the latest step last; and the last real
        steps of each row `(B, count, ...)`.
    """
    batch, length, *rest = ops.shape(x)
    if before is None:
        before = ops.zeros((batch, count, *rest), x.dtype)
    x = ops.concatenate([ops.cast(before, x.dtype), x], axis=1)
    if real is None:
        # A view would keep the whole sequence alive.
        last = ops.copy(x[:, length:])
        return [x[:, first : first + length] for first in range(count)], last
    real = ops.concatenate([ops.ones((batch, count), "bool"), real], axis=1)
    total = length + count
    steps = ops.arange(0, total, dtype="int32")
    # The real steps in order, and all others after them.
    in_order = ops.sort(ops.where(real, steps, steps + total), axis=1)
    # How many real steps come before each step, and before the end.
    seen = ops.cumsum(ops.cast(real, "int32"), axis=1)[:, count - 1 :]

    def at(number):
        return steps_at(x, ops.take_along_axis(in_order, number, axis=1))

    found = [at(seen[:, :length] - lag) for lag in range(count, 0, -1)]
    lags = ops.arange(count, 0, -1, dtype="int32")
    return found, at(seen[:, length:] - lags)
