"""How a layer of attention counts the steps of padded rows.

Padding is no step: what counts steps (default times, windows, blocks) counts the real
steps of each row, so that a padded row gives what it gives alone. In self-attention, a
step is padding where it is masked both as a query and as a key. One that is masked as a
key only is a step whose content is hidden, and keeps its number.
"""

from dataclasses import replace

from keras import ops

from keras_twa.masks import boolean
from keras_twa.masks import both
from keras_twa.masks import hide_padding
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

    def counts(self, times):
        """Whether outputs depend on how many steps lie between others.

        Args:
            times: The times of the steps, or `None` where these are their numbers.
        """
        return self.counts_steps or (self.by_time and times is None)

    def number(self, mask, times, real):
        """Gives steps their numbers, where the layer needs them.

        Args:
            mask: The `AttentionMask` of a call of self-attention.
            times: Float32 `(B or 1, T)`, or `None`.
            real: Boolean `(B, T)`, which steps are no padding.

        Returns:
            The mask with the numbers of its keys, and the times.
        """
        counted = numbers(real)
        if self.counts_steps:
            mask = replace(mask, steps=counted)
        if self.by_time and times is None:
            times = ops.cast(counted, "float32")
        return mask, times


def packed(x, masks, times, real):
    """A call of self-attention with the real steps of each row first.

    Args:
        x: `(B, T, F)`: query, value and key.
        masks: Those of query, value and key, boolean `(B, T)` or `None`.
        times: Float32 `(B or 1, T)`, or `None`.
        real: Boolean `(B, T)`, which steps are no padding.

    Returns:
        The `Packing`, and `x`, the masks and the times as it packs them.
    """
    packing = Packing.of(real)
    masks = [packing.pack_mask(mask, real) for mask in masks]
    if times is not None:
        times = packing.pack(ops.broadcast_to(times, ops.shape(real)))
    return packing, packing.pack(hide_padding(x, real)), masks, times


def real_steps(query_mask, value_mask, key_mask):
    """Which steps of self-attention are no padding, boolean `(B, T)`, or `None`: all.

    Args:
        query_mask: Boolean `(B, T)`, or `None`.
        value_mask: Likewise.
        key_mask: Likewise.
    """
    keys = value_mask
    if key_mask is not None and key_mask is not value_mask:
        keys = both(boolean(value_mask), boolean(key_mask))
    if query_mask is None or keys is None:
        return None
    if query_mask is keys:
        return boolean(keys)
    return ops.logical_or(boolean(query_mask), boolean(keys))
