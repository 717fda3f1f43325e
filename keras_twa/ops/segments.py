"""Segments of packed rows: short sequences that share a row.

Steps have the number of their segment, and padding has 0. A segment is a run of real
steps with equal numbers: a number that comes again after another one begins a new
segment. Padding inside of a segment does not divide it.
"""

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.packing import numbers


def starts(ids):
    """Which steps begin a segment, boolean `(B, T)`.

    Args:
        ids: Integer `(B, T)`, 0 for padding.
    """
    real = ops.not_equal(ids, 0)
    before = ops.take_along_axis(ids, latest_real(real), axis=1)
    before = ops.concatenate([ops.zeros_like(ids[:, :1]), before[:, :-1]], axis=1)
    return ops.logical_and(real, ops.not_equal(ids, before))


def latest_real(real):
    """The index of the last real step up to each step, or 0: integer `(B, T)`.

    Args:
        real: Boolean `(B, T)`.
    """
    length = ops.shape(real)[1]
    steps = ops.arange(0, length, dtype="int32")
    # The real steps in order, and all others after them.
    in_order = ops.sort(ops.where(real, steps, steps + length), axis=1)
    count = ops.cumsum(ops.cast(real, "int32"), axis=1)
    found = ops.take_along_axis(in_order, ops.maximum(count - 1, 0), axis=1)
    return ops.where(ops.greater(count, 0), found, 0)


def runs(ids):
    """The number of each step's segment in its row: 1, 2, 3, ..., integer `(B, T)`.

    Padding has the number of the segment before it, or 0.

    Args:
        ids: Integer `(B, T)`, 0 for padding.
    """
    return ops.cumsum(ops.cast(starts(ids), "int32"), axis=1)


def numbers_within(ids):
    """The index of each step among the real steps of its segment, integer `(B, T)`.

    Args:
        ids: Integer `(B, T)`, 0 for padding.
    """
    in_row = numbers(ops.not_equal(ids, 0))
    first, _ = segment_bounds(ids)
    return in_row - ops.take_along_axis(in_row, first, axis=1)


def any_within(ids, flags):
    """Whether a flag is set anywhere in the segment of a step, boolean `(B, T)`.

    It is false for padding.

    Args:
        ids: Integer `(B, T)`, 0 for padding.
        flags: Boolean `(B, T)`.
    """
    real = ops.not_equal(ids, 0)
    set_here = ops.cast(ops.logical_and(flags, real), "int32")
    so_far = ops.cumsum(set_here, axis=1)
    so_far = ops.concatenate([ops.zeros_like(so_far[:, :1]), so_far], axis=1)
    before, after = (
        ops.take_along_axis(so_far, x, axis=1) for x in segment_bounds(ids)
    )
    return ops.logical_and(real, ops.greater(after, before))


def any_of_same_number(ids, other_ids, flags):
    """Whether a flag is set at a step of another sequence with the same number.

    Args:
        ids: Integer `(B, T)`, 0 for padding.
        other_ids: Integer `(B, S)`, 0 for padding.
        flags: Boolean `(B, S)`.

    Returns:
        Boolean `(B, T)`, false for padding.
    """
    length = ops.shape(ids)[1]
    ids = ops.concatenate([ids, other_ids], axis=1)
    flags = ops.concatenate([ops.zeros(ops.shape(ids[:, :length]), "bool"), flags], 1)
    # Sorted, all steps of a number are one segment.
    order = ops.argsort(ids, axis=1)
    ids, flags = (ops.take_along_axis(x, order, axis=1) for x in (ids, flags))
    found = any_within(ids, flags)
    found = ops.take_along_axis(found, backend.inverse(order), axis=1)
    return found[:, :length]


def segment_bounds(ids):
    """The first step of each step's segment, and of the next one: two int32 `(B, T)`.

    Where there is none, they are 0, and T.

    Args:
        ids: Integer `(B, T)`, 0 for padding.
    """
    begin = starts(ids)
    length = ops.shape(ids)[1]
    steps = ops.arange(0, length, dtype="int32")
    run = ops.cumsum(ops.cast(begin, "int32"), axis=1)
    firsts = ops.sort(ops.where(begin, steps, length), axis=1)
    none = ops.zeros_like(firsts[:, :1])
    firsts = ops.concatenate([none, firsts, none + length], axis=1)
    return tuple(ops.take_along_axis(firsts, run + after, axis=1) for after in (0, 1))
