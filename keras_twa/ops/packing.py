"""Moves the real steps of each row to the front, and back to their places.

Rows of a batch may have padding before, after or between their steps. Once the real
steps are together at the front, the index of a step is the number of real steps before
it, and kernels that count steps can ignore padding.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.gather import steps_at


def numbers(real, before=0):
    """The index of each step among the real steps of its row, integer `(B, L)`.

    Indices start at 0. Padding has the index of the last real step before it, or 0.

    Args:
        real: Boolean `(B, L)`, `True` for real steps.
        before: How many real steps came before these, an integer or `(B, 1)`.
    """
    so_far = ops.cumsum(ops.cast(real, "int32"), axis=1)
    return ops.maximum(so_far + (before - 1), 0)


def count(real):
    """How many steps of each row are real, integer `(B,)`."""
    return ops.sum(ops.cast(real, "int32"), axis=1)


def latest(real, most):
    """The indices of the last real steps of each row.

    Args:
        real: Boolean `(B, L)`.
        most: How many to find; `most <= L`.

    Returns:
        Integer `(B, most)`, in order. Rows with fewer real steps begin with padding.
    """
    length = ops.shape(real)[1]
    index = ops.arange(0, length, dtype="int32")[None]
    order = ops.argsort(ops.where(real, index + length, index), axis=1)
    return order[:, length - most :]


@dataclass(frozen=True)
class Packing:
    """How to put the real steps of each row first, and how to undo it.

    Args:
        order: The index of the step that goes to each place, integer `(B, L)`.
        place: The place that each step goes to, integer `(B, L)`.
        filled: Boolean `(B, L)`, `True` for the places of real steps.
        apart: Boolean scalar: whether any row has padding before a real step. If not,
            no step has to move.
    """

    order: Any
    place: Any
    filled: Any
    apart: Any

    @classmethod
    def of(cls, real):
        """The packing of rows.

        Args:
            real: Boolean `(B, L)`.
        """
        length = ops.shape(real)[1]
        index = ops.arange(0, length, dtype="int32")[None]
        so_far = ops.cumsum(ops.cast(real, "int32"), axis=1)
        total = count(real)[:, None]
        # Padding goes to the end, in order.
        place = ops.where(real, so_far - 1, total + index - so_far)
        order = backend.inverse(place)
        apart = ops.any(ops.not_equal(place, index))
        return cls(order, place, ops.less(index, total), apart)

    def pack(self, x):
        """`(B, L, ...)` with the real steps of each row first."""
        return backend.apply_if(self.apart, lambda y: steps_at(y, self.order), x)

    def pack_mask(self, mask, real):
        """Packs a mask `(B, L)` or `None`, and hides the padding, too.

        Args:
            mask: The mask.
            real: The argument of `of`.
        """
        if mask is None or mask is real:
            return None if mask is None else self.filled
        packed = self.pack(ops.cast(mask, "bool"))
        return ops.logical_and(packed, self.filled)

    def unpack(self, x):
        """`(B, L, ...)` with each step back in its place."""
        return backend.apply_if(self.apart, lambda y: steps_at(y, self.place), x)

    def unpack_pairs(self, x):
        """`(B, H, L, L)` with each query and each key back in its place."""

        def moved(y):
            for _ in range(2):
                y = ops.moveaxis(steps_at(ops.moveaxis(y, 2, 1), self.place), 1, 3)
            return y

        return backend.apply_if(self.apart, moved, x)
