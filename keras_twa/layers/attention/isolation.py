"""Keeps segments of packed rows apart, also where one holds NaN or infinity.

Kernels give steps of other segments a weight of zero, and `0 * NaN` is NaN. A segment
with such a number is therefore treated as padding, and its outputs are NaN.
"""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from keras import ops

from keras_twa.masks import both
from keras_twa.ops.segments import any_of_same_number
from keras_twa.ops.segments import any_within


@dataclass(frozen=True)
class Isolated:
    """A call whose segments are all finite.

    Args:
        arguments: The `Arguments`, with the other segments masked.
        broken: Boolean `(B, T)`, the queries of those segments, or `None` if rows are
            not packed.
    """

    arguments: Any
    broken: Any = None

    @classmethod
    def of(cls, arguments):
        """The isolated call.

        Args:
            arguments: The `Arguments` of the call.
        """
        ids, key_ids = arguments.segment_ids, arguments.key_segment_ids
        if ids is None:
            return cls(arguments)
        broken = any_within(ids, _not_finite(arguments.query))
        query_mask, value_mask = arguments.query_mask, arguments.value_mask
        same = value_mask is query_mask
        whole = ops.logical_not(broken)
        query_mask = both(query_mask, whole)
        if not arguments.is_self_attention:
            wrong = _not_finite(arguments.value)
            if arguments.key is not arguments.value:
                wrong = ops.logical_or(wrong, _not_finite(arguments.key))
            wrong = ops.logical_and(wrong, value_mask)
            broken_keys = any_of_same_number(key_ids, key_ids, wrong)
            in_keys = any_of_same_number(ids, key_ids, wrong)
            broken = ops.logical_or(broken, in_keys)
            whole = ops.logical_not(broken_keys)
        value_mask = query_mask if same else both(value_mask, whole)
        masked = replace(arguments, query_mask=query_mask, value_mask=value_mask)
        return cls(masked, broken)

    def marked(self, outputs, weights):
        """Outputs and attention weights (or `None`), NaN for the broken segments."""
        if self.broken is None:
            return outputs, weights
        broken = ops.reshape(
            self.broken, (*ops.shape(self.broken), *(1,) * (len(outputs.shape) - 2))
        )
        outputs = ops.where(broken, _nan(outputs), outputs)
        if weights is not None:
            broken = self.broken[:, None, :, None]
            weights = ops.where(broken, _nan(weights), weights)
        return outputs, weights


def _not_finite(x):
    """Which steps hold a number that is not finite, boolean `(B, T)`."""
    return ops.logical_not(ops.all(ops.isfinite(x), axis=-1))


def _nan(x):
    return ops.full((), float("nan"), x.dtype)
