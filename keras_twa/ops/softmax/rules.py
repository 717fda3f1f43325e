"""Which keys a query sees, and which weights dropout drops, in one tile."""

import functools
import math
import operator
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.rows import repeated


def may_skip_pairs(num_queries, num_keys, mask, dropout=None, return_weights=False):
    """Whether a kernel may skip the pairs that a pattern hides.

    It may if a sequence of known length attends to itself, by the indices of its steps,
    and the call needs no pair on its own, as dropout and returned weights do.

    Args:
        num_queries: T, an integer where it is known.
        num_keys: S, likewise.
        mask: An `AttentionMask`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Whether the weights are requested.
    """
    known = isinstance(num_queries, int) and isinstance(num_keys, int)
    by_index = mask.pairs is None and mask.steps is None
    asks_for_pairs = dropout is not None or return_weights
    return known and num_queries == num_keys and by_index and not asks_for_pairs


@dataclass(frozen=True)
class Rules:
    """An `AttentionMask` and a dropout, in the form that the tiles of a call need.

    Args:
        heads: How many rows belong to one element of the batch.
        causal: Whether query `i` sees only keys `j <= i + offset`.
        offset: S - T of the whole call, of which these queries may be a part.
        first_query: Index of the first query in the whole call.
        key_mask: Boolean `(rows, S)`, or `None`.
        pairs: Boolean `(B or 1, H', T or 1, S)` of the whole call, or `None`.
        query_segments: Integer `(B, T)` of the whole call, or `None`.
        key_segments: Integer `(B, S)` of the whole call, or `None`.
        in_order: Whether these are the same, and numbered in the order of the row.
        dropout: A `WeightDropout`, or `None`.
    """

    heads: int
    causal: bool = False
    offset: Any = 0
    first_query: int = 0
    key_mask: Any = None
    pairs: Any = None
    query_segments: Any = None
    key_segments: Any = None
    in_order: bool = False
    dropout: Any = None

    @classmethod
    def from_mask(cls, mask, batch, heads, num_queries, num_keys, dropout=None):
        """The rules of an `AttentionMask`, for rows of pairs of element and head."""
        key_mask = None if mask.keys is None else repeated(mask.keys, batch, heads)
        offset = num_keys - num_queries
        return cls(
            heads,
            mask.causal,
            offset,
            key_mask=key_mask,
            pairs=mask.pairs,
            query_segments=mask.query_segments,
            key_segments=mask.key_segments,
            in_order=mask.in_order,
            dropout=dropout,
        )

    def of_span(self, first, end):
        """The rules for queries `first ... end - 1` with keys `0 ... end - 1`."""
        key_mask = None if self.key_mask is None else self.key_mask[:, :end]
        return replace(self, first_query=first, key_mask=key_mask)

    def without_segments(self):
        """The rules for pairs that are known to be of the same segment."""
        return replace(self, query_segments=None, key_segments=None)

    def tensors(self):
        """The tensors of these rules, by name."""
        seed = None if self.dropout is None else self.dropout.seed
        named = {
            "key_mask": self.key_mask,
            "pairs": self.pairs,
            "query_segments": self.query_segments,
            "key_segments": self.key_segments,
            "seed": seed,
        }
        return {name: x for name, x in named.items() if x is not None}

    def static(self):
        """The same rules with names in place of their tensors."""
        return self.with_tensors({name: name for name in self.tensors()})

    def with_tensors(self, tensors):
        """The same rules with these tensors, by the names that `tensors()` gives."""
        rules = dict(tensors)
        if "seed" in rules:
            rules["dropout"] = replace(self.dropout, seed=rules.pop("seed"))
        return replace(self, **rules)

    def hide_keys(self, key_mask):
        """Whether some key may be hidden from some query of a tile."""
        given = key_mask, self.pairs, self.query_segments
        return self.causal or any(x is not None for x in given)

    def hide(self, logits, rows, queries, keys, key_mask):
        """The logits, `-inf` where a key is hidden.

        Args:
            logits: Float32 `(g, t, s)`.
            rows: Indices of the rows, integer `(g,)`.
            queries: Indices of the queries, integer `(t,)`.
            keys: Indices of the keys, integer `(1, s)` or `(g, s)`.
            key_mask: Boolean `(g, s)`, or `None`.
        """
        parts = []
        if self.causal:
            parts.append(backend.future_bias(queries + self.offset, keys))
        if self.query_segments is not None:
            # In packed rows, one pass over the pairs hides padding, too.
            visible = self._same_segment(rows, queries, keys, key_mask)
            logits = ops.where(visible, logits, -math.inf)
        elif key_mask is not None:
            parts.append(_bias(key_mask)[:, None, :])
        if self.pairs is not None:
            parts.append(_bias(self._visible_pairs(rows, queries, keys)))
        return logits + functools.reduce(operator.add, parts) if parts else logits

    def _visible_pairs(self, rows, queries, keys):
        batch, heads, num_queries, num_keys = ops.shape(self.pairs)
        element = ops.zeros_like(rows)
        if self.pairs.shape[0] != 1:
            element = ops.floor_divide(rows, self.heads)
        # If several heads share one mask head, as the timescales of a multi-timescale
        # layer do, these heads are `heads` apart.
        head = ops.mod(rows, heads)
        line = ops.zeros_like(queries) if self.pairs.shape[2] == 1 else queries
        lines = ops.reshape(self.pairs, (batch * heads * num_queries, num_keys))
        first = (element * heads + head) * num_queries
        tile = ops.take(lines, first[:, None] + line[None, :], axis=0)
        return tile[:, :, : ops.shape(keys)[-1]]

    def _same_segment(self, rows, queries, keys, key_mask):
        element = ops.floor_divide(rows, self.heads)[:, None]
        # Keys outside of the sequence, which a window may have, are hidden elsewhere.
        keys = ops.clip(keys, 0, ops.shape(self.key_segments)[1] - 1)
        query = _at(self.query_segments, element, queries[None])
        key = _at(self.key_segments, element, keys)
        if key_mask is not None:
            # 0 is the number of padding, whose outputs are hidden.
            key = ops.where(key_mask, key, 0)
        return ops.equal(query[:, :, None], key[:, None])


def _at(x, row, column):
    """Entries of a matrix, at indices that broadcast."""
    index = row * ops.shape(x)[1] + column
    return ops.take(ops.reshape(x, (-1,)), index, axis=0)


def _bias(visible):
    return ops.where(visible, 0.0, -math.inf)
