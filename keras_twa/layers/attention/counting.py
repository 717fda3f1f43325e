"""How an attention layer counts the steps of rows with padding or segments.

Padding is not counted: default times, windows and blocks count the real steps of each
row, so that a row has the same outputs with and without padding. In self-attention, a
step is padding if it is masked both as a query and as a key. A step that is masked as a
key only is real: its content is hidden, but it keeps its number.
"""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from keras import ops

from keras_twa.layers.positions.bias import times_at
from keras_twa.masks import boolean
from keras_twa.masks import both
from keras_twa.masks import hide_padding
from keras_twa.ops.packing import Packing
from keras_twa.ops.packing import numbers
from keras_twa.ops.segments import numbers_within


@dataclass(frozen=True)
class Counted:
    """A call of self-attention whose padding is not counted.

    Args:
        arguments: The `Arguments`; with a packing, those of the packed call.
        packing: The `Packing` that moved the real steps of each row to the front, or
            `None`.
        real: Boolean `(B, T)`, which steps are real, if the steps are not packed but
            numbered; else `None`.
    """

    arguments: Any
    packing: Any = None
    real: Any = None

    @classmethod
    def of(cls, layer, arguments):
        """Decides how the steps of a call are counted.

        Args:
            layer: The attention layer.
            arguments: The `Arguments` of the call.
        """
        # With a state, the state counts the steps.
        streams = arguments.state is not None or arguments.return_state
        if streams or not arguments.is_self_attention:
            return cls(arguments)
        if not layer.counts(arguments.query_positions):
            return cls(arguments)
        masks = arguments.query_mask, arguments.value_mask, arguments.key_mask
        real = real_steps(*masks)
        if real is None or arguments.attention_mask is not None:
            return cls(arguments, real=real)
        packing = Packing.of(real)
        x = ops.cast(arguments.query, layer.compute_dtype)
        x = packing.pack(hide_padding(x, real))
        masks = [packing.pack_mask(mask, real) for mask in masks]
        times = times_at(arguments.query_positions)
        if times is not None:
            times = packing.pack(ops.broadcast_to(times, ops.shape(real)))
        ids = arguments.segment_ids
        if ids is not None:
            ids = ops.where(packing.filled, packing.pack(ids), 0)
        packed = replace(
            arguments,
            query=x,
            value=x,
            key=x,
            query_mask=masks[0],
            value_mask=masks[1],
            key_mask=masks[2],
            query_positions=times,
            key_positions=times,
            segment_ids=ids,
            key_segment_ids=ids,
        )
        return cls(packed, packing)

    def number(self, layer, mask, query_times, key_times):
        """Numbers the steps of a call, if their indices are not their numbers.

        In packed rows, each segment has its own numbers.

        Args:
            layer: The attention layer.
            mask: The `AttentionMask` of the call.
            query_times: Float32 `(B or 1, T)`, or `None`.
            key_times: Float32 `(B or 1, S)`, or `None`.

        Returns:
            The mask with the numbers of its keys, and the times.
        """
        ids = self.arguments.segment_ids
        packed = ids is not None and self.arguments.is_self_attention
        if self.real is None and not packed:
            return mask, query_times, key_times
        counted = numbers_within(ids) if packed else numbers(self.real)
        if layer.counts_steps:
            mask = replace(mask, steps=counted)
        if layer.by_time and query_times is None:
            query_times = key_times = ops.cast(counted, "float32")
        return mask, query_times, key_times

    def unpack(self, outputs, weights):
        """Outputs and attention weights (or `None`), with steps in their places."""
        if self.packing is None:
            return outputs, weights
        if weights is not None:
            weights = self.packing.unpack_pairs(weights)
        return self.packing.unpack(outputs), weights


def real_steps(query_mask, value_mask, key_mask):
    """Which steps of self-attention are real, boolean `(B, T)`, or `None` for all.

    Args:
        query_mask: Boolean `(B, T)`, or `None`.
        value_mask: Boolean `(B, T)`, or `None`.
        key_mask: Boolean `(B, T)`, or `None`.
    """
    keys = value_mask
    if key_mask is not None and key_mask is not value_mask:
        keys = both(boolean(value_mask), boolean(key_mask))
    if query_mask is None or keys is None:
        return None
    if query_mask is keys:
        return boolean(keys)
    return ops.logical_or(boolean(query_mask), boolean(keys))
