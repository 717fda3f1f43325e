"""The real steps of each row put first, and everything back in its place.

Rows of a batch may have padding in front, behind or between their steps. Once the real
steps stand together at the beginning, the number of a step is its index, and kernels
that count steps need not know of padding at all.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.gather import steps_at


def numbers(real, before=0):
    """The number of each step among the real ones of its row, integer `(B, L)`.

    They count from 0. Padding has the number of the last real step before it, or 0.

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
    """Where the last real steps of each row are.

    Args:
        real: Boolean `(B, L)`.
        most: How many to find; `most <= L`.

    Returns:
        Integer `(B, most)`, in order. Rows with fewer real steps have padding in front.
    """
    length = ops.shape(real)[1]
    index = ops.arange(0, length, dtype="int32")[None]
    order = ops.argsort(ops.where(real, index + length, index), axis=1)
    return order[:, length - most :]


@dataclass(frozen=True)
class Packing:
    """How to put the real steps of each row first, and how to undo it.

    Args:
        order: The step for each place, integer `(B, L)`.
        place: The place of each step, integer `(B, L)`.
        filled: Boolean `(B, L)`: the places that real steps fill.
        apart: Boolean scalar: whether any row has padding before a real step. If none
            has, nothing is to be moved.
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
        # Padding goes behind, in order.
        place = ops.where(real, so_far - 1, total + index - so_far)
        order = backend.inverse(place)
        apart = ops.any(ops.not_equal(place, index))
        return cls(order, place, ops.less(index, total), apart)

    def pack(self, x):
        """`(B, L, ...)` with the real steps of each row first."""
        return backend.apply_if(self.apart, lambda y: steps_at(y, self.order), x)

    def pack_mask(self, mask, real):
        """The same for a mask `(B, L)` or `None`, which hides the padding, too.

        Args:
            mask: The mask.
            real: What `of` got.
        """
        if mask is None or mask is real:
            return None if mask is None else self.filled
        packed = self.pack(ops.cast(mask, "bool"))
        return ops.logical_and(packed, self.filled)

    def unpack(self, x):
        """`(B, L, ...)` with each step where it was."""
        return backend.apply_if(self.apart, lambda y: steps_at(y, self.place), x)

    def unpack_pairs(self, x):
        """`(B, H, L, L)` with each query and each key where it was."""

        def moved(y):
            for _ in range(2):
                y = ops.moveaxis(steps_at(ops.moveaxis(y, 2, 1), self.place), 1, 3)
            return y

        return backend.apply_if(self.apart, moved, x)
