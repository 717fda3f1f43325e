"""The last real steps before each step: for token shift and short convolutions."""

from keras import ops

from keras_twa.ops.gather import steps_at


def previous_real(x, real=None, before=None, run=None):
    """The input of the last real step before each step.

    Args:
        x: `(B, T, F)`, finite wherever a step is not real.
        real: Boolean `(B, T)`, `True` for real steps, or `None` if all are real.
        before: `(B, F)`, the last real input of an earlier call. Defaults to zeros.
        run: Integer `(B, T)`, the number of each step's segment in packed rows, or
            `None`. A segment begins like a sequence.

    Returns:
        `(B, T, F)`, and the last real input of each row `(B, F)`.
    """
    before = None if before is None else before[:, None]
    (found,), last = earlier_real(x, 1, real, before, run)
    return found, last[:, 0]


def earlier_real(x, count, real=None, before=None, run=None):
    """The last real steps before each step.

    Args:
        x: `(B, T, ...)`, finite wherever a step is not real.
        count: How many steps to find.
        real: Boolean `(B, T)`, `True` for real steps, or `None` if all are real.
        before: `(B, count, ...)`, the last real steps of an earlier call. Defaults to
            zeros.
        run: Integer `(B, T)`, or `None`; see `previous_real`.

    Returns:
        A list of `count` tensors `(B, T, ...)`, the latest step last; and the last real
        steps of each row `(B, count, ...)`.
    """
    batch, length, *rest = ops.shape(x)
    if before is None:
        before = ops.zeros((batch, count, *rest), x.dtype)
    x = ops.concatenate([ops.cast(before, x.dtype), x], axis=1)
    if real is None:
        steps = ops.arange(0, length, dtype="int32")
        places = [steps[None] + first for first in range(count)]
        found = [x[:, first : first + length] for first in range(count)]
        # A view would keep the whole sequence alive.
        last = ops.copy(x[:, length:])
    else:
        real = ops.concatenate([ops.ones((batch, count), "bool"), real], axis=1)
        total = length + count
        steps = ops.arange(0, total, dtype="int32")
        # The real steps in order, and all others after them.
        in_order = ops.sort(ops.where(real, steps, steps + total), axis=1)
        # How many real steps come before each step, and before the end.
        seen = ops.cumsum(ops.cast(real, "int32"), axis=1)[:, count - 1 :]

        def place(number):
            return ops.take_along_axis(in_order, number, axis=1)

        places = [place(seen[:, :length] - lag) for lag in range(count, 0, -1)]
        found = [steps_at(x, each) for each in places]
        lags = ops.arange(count, 0, -1, dtype="int32")
        last = steps_at(x, place(seen[:, length:] - lags))
    if run is not None:
        found = [*map(_of_same_run(run, count), found, places)]
    return found, last


def _of_same_run(run, count):
    """A function that replaces steps of other segments by zeros.

    It takes steps `(B, T, ...)`, and their places in a sequence with `count` further
    steps at the beginning.
    """
    # Segments are numbered from 1.
    none = ops.zeros_like(run[:, :1])
    of_places = ops.concatenate([*[none] * count, run], axis=1)

    def select(steps, places):
        places = ops.broadcast_to(places, ops.shape(run))
        same = ops.equal(run, ops.take_along_axis(of_places, places, axis=1))
        same = ops.reshape(same, (*ops.shape(same), *[1] * (len(steps.shape) - 2)))
        return ops.where(same, steps, ops.zeros((), steps.dtype))

    return select
