"""Reverses sequences: real steps change places with each other, and padding stays."""

from keras import ops

from keras_twa.ops.gather import steps_at
from keras_twa.ops.packing import Packing
from keras_twa.ops.packing import count
from keras_twa.ops.packing import numbers
from keras_twa.ops.segments import segment_bounds


def reversed_order(real=None, ids=None):
    """The step that goes to each place: integer `(B, L)`, or `None` if all are real.

    Args:
        real: Boolean `(B, L)`, `True` for real steps, or `None` if all are real.
        ids: Integer `(B, L)`, the segments of packed rows, or `None`. Each segment is
            then reversed within its own places. Requires `real`.
    """
    if real is None:
        return None
    number = numbers(real)
    if ids is None:
        ends = count(real)[:, None] - 1
    else:
        # The numbers of the first and the last step of each step's segment.
        first, after = segment_bounds(ids)
        ends = sum(
            ops.take_along_axis(number, place, axis=1)
            for place in (first, ops.maximum(after - 1, 0))
        )
    order = Packing.of(real).order
    step = ops.take_along_axis(order, ops.maximum(ends - number, 0), axis=1)
    index = ops.arange(0, ops.shape(real)[1], dtype="int32")[None]
    return ops.where(real, ops.cast(step, "int32"), index)


def reversed_steps(x, order=None):
    """The real steps of each row in reverse order, in the places of real steps.

    Args:
        x: `(B, L, ...)`.
        order: From `reversed_order`, or `None` if all steps are real.
    """
    return ops.flip(x, axis=1) if order is None else steps_at(x, order)


def reversed_pairs(x, order=None):
    """`(B, H, L, L)` with queries and keys in reverse order; see `reversed_steps`."""
    for _ in range(2):
        x = ops.moveaxis(reversed_steps(ops.moveaxis(x, 2, 1), order), 1, 3)
    return x
