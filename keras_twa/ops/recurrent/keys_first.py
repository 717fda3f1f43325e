"""Attention to whole segments of packed rows, by means of causal attention.

In one sequence, all keys of a segment come first, and then its queries. There, each
query of causal attention sees all keys of its segment.
"""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from keras import ops

from keras_twa.masks import real_keys
from keras_twa.ops import backend
from keras_twa.ops.gather import steps_at


@dataclass(frozen=True)
class KeysFirst:
    """One sequence of the keys and queries of packed rows, segment by segment.

    Args:
        order: The index of each of its steps in the keys followed by the queries,
            integer `(B, S + T)`.
        place: The step of each query, integer `(B, T)`.
        mask: The causal `AttentionMask` of the sequence.
    """

    order: Any
    place: Any
    mask: Any

    @classmethod
    def of(cls, mask):
        """The sequence for a mask.

        Args:
            mask: An `AttentionMask` with segments, which is not causal.
        """
        batch, num_keys = ops.shape(mask.key_segments)
        ids = ops.concatenate([mask.key_segments, mask.query_segments], axis=1)
        # Steps with equal numbers keep their order: keys come first.
        order = ops.argsort(ids, axis=1)
        ids = ops.take_along_axis(ids, order, axis=1)
        changes = ops.cast(ops.not_equal(ids[:, 1:], ids[:, :-1]), "int32")
        first = ops.ones((batch, 1), "int32")
        runs = ops.cumsum(ops.concatenate([first, changes], axis=1), axis=1)
        real = real_keys(mask, batch, num_keys)
        none = ops.zeros(ops.shape(mask.query_segments), "bool")
        real = ops.concatenate([real, none], axis=1)
        joint = replace(
            mask,
            causal=True,
            queries=None,
            keys=ops.take_along_axis(real, order, axis=1),
            query_segments=runs,
            key_segments=runs,
        )
        return cls(order, backend.inverse(order)[:, num_keys:], joint)

    def of_keys(self, x, queries):
        """The steps of keys `(B, S, ...)`, with zeros at the queries."""
        zeros = ops.zeros((*ops.shape(queries)[:2], *ops.shape(x)[2:]), x.dtype)
        return steps_at(ops.concatenate([x, zeros], axis=1), self.order)

    def of_queries(self, x, keys):
        """The steps of queries `(B, T, ...)`, with zeros at the keys."""
        zeros = ops.zeros((*ops.shape(keys)[:2], *ops.shape(x)[2:]), x.dtype)
        return steps_at(ops.concatenate([zeros, x], axis=1), self.order)

    def at_queries(self, x):
        """The steps of the queries `(B, T, ...)`, from `(B, S + T, ...)`."""
        return steps_at(x, self.place)
