"""How a layer of attention counts the steps of padded rows.

Padding is no step: whatever counts steps (default times, windows, blocks) counts the
real steps of each row, so that a padded row gives what it gives alone.
"""

from dataclasses import replace

from keras import ops

from keras_twa.masks import both
from keras_twa.ops.packing import Packing
from keras_twa.ops.packing import numbers


class Counting:
    """The part of an attention layer that counts the steps of each row."""

    # Whether the layer counts steps whatever their times are: in windows or blocks.
    counts_steps = False
    # Whether the layer uses times, which by default are the numbers of the steps.
    uses_times = False

    @property
    def by_time(self):
        """Whether outputs depend on the times of steps."""
        return self.uses_times or self.positions is not None

    def packing(self, itself, masks, pairs, times):
        """How to put the real steps of each row first, or `None`.

        That is worth it where steps are counted, and possible where one mask says for
        queries and keys alike which are real.

        Args:
            itself: Whether query, value and key are the same tensor.
            masks: The masks of query, value and key, boolean `(B, T)` or `None`.
            pairs: The mask of pairs, or `None`.
            times: The times of the queries, or `None`.
        """
        query_mask, value_mask, key_mask = masks
        counted = self.counts_steps or (self.by_time and times is None)
        same = query_mask is value_mask and (key_mask is None or key_mask is value_mask)
        if not itself or not counted or pairs is not None or not same:
            return None
        return None if value_mask is None else Packing.of(ops.cast(value_mask, "bool"))

    def count_keys(self, mask, real):
        """An `AttentionMask` with the numbers of the keys, where the layer needs them.

        Args:
            mask: An `AttentionMask`.
            real: Boolean `(B, S)`, which keys are no padding, or `None` if all are.
        """
        if real is None or not self.counts_steps:
            return mask
        return replace(mask, steps=numbers(real))

    def default_times(self, given, real):
        """Times of steps: as given, or the numbers of the real ones of each row.

        Args:
            given: Float32 `(B or 1, T)`, or `None`.
            real: Boolean `(B, T)`, or `None` if all are real.

        Returns:
            Float32 `(B or 1, T)`, or `None` for 0, 1, 2, ...
        """
        if given is not None or real is None or not self.by_time:
            return given
        return ops.cast(numbers(real), "float32")


def real_steps(*masks):
    """What masks `(B, T)` say together, boolean, or `None` if none says anything."""
    real = None
    for mask in masks:
        if mask is not None:
            real = both(real, ops.cast(mask, "bool"))
    return real
