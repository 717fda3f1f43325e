"""Attention masks, stored as structure and made dense only on demand.

`True` means attend, everywhere. Causality is stored as a flag, and padding as vectors
of length T or S. A kernel that works on tiles, or that folds padding into the keys,
therefore never builds the `(T, S)` matrix.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.keras_internals import get_keras_mask
from keras_twa.keras_internals import set_keras_mask

Tensor = Any


@dataclass(frozen=True)
class AttentionMask:
    """The conjunction of a causal rule, padding, segments, and explicit pairs.

    Causality is aligned bottom-right: with T queries and S keys, query `i` sees
    key `j` when `j <= i + S - T`, so the last query always sees the last key.

    Args:
        causal: Whether later keys are hidden.
        queries: Boolean `(B, T)` or `None`: queries that are real. A padded query
            attends to no key and its output is zero.
        keys: Boolean `(B, S)` or `None`: keys that are real.
        pairs: Boolean `(B or 1, H or 1, T, S)` or `None`: explicit pairs.
        steps: Integer `(B, S)` or `None`: the number of each key among the real keys
            of its row, for windows and chunks of steps. `None` means its index. In
            packed rows, it is the number among the steps of the segment.
        query_segments: Integer `(B, T)` or `None`: the segment of each query in packed
            rows. A query sees keys of the same segment only. In self-attention,
            segments are numbered in the order of the row, and T = S.
        key_segments: Integer `(B, S)`, the segment of each key; `None` if and only if
            `query_segments` is.
    """

    causal: bool = False
    queries: Tensor | None = None
    keys: Tensor | None = None
    pairs: Tensor | None = None
    steps: Tensor | None = None
    query_segments: Tensor | None = None
    key_segments: Tensor | None = None

    @property
    def in_order(self):
        """Whether rows are packed, and their segments numbered in order."""
        packed = self.key_segments is not None
        return packed and self.query_segments is self.key_segments

    @classmethod
    def from_arguments(
        cls,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        use_causal_mask=False,
    ):
        """Builds a mask from the arguments of a Keras attention layer's call.

        Keys that `attention_mask` hides from all queries count as padding, so that
        their values (even NaN) cannot reach the output.
        """
        keys = both(boolean(value_mask), boolean(key_mask))
        pairs = boolean(attention_mask)
        if pairs is not None:
            if len(pairs.shape) == 2:
                pairs = ops.expand_dims(pairs, axis=0)
            if len(pairs.shape) == 3:
                pairs = ops.expand_dims(pairs, axis=1)
            seen = ops.any(pairs, axis=(1, 2))
            if seen.shape[0] == 1 and keys is not None:
                seen = ops.broadcast_to(seen, ops.shape(keys))
            keys = both(keys, seen)
        return cls(bool(use_causal_mask), boolean(query_mask), keys, pairs)

    def dense(self, num_queries, num_keys):
        """The whole mask: boolean, broadcastable to `(B, H, T, S)`, or `None`."""
        mask = self.pairs
        if self.causal:
            queries = ops.arange(0, num_queries, dtype="int32")
            mask = both(mask, past(queries, num_queries, num_keys)[None, None])
        if self.keys is not None:
            mask = both(mask, self.keys[:, None, None, :])
        if self.queries is not None:
            mask = both(mask, self.queries[:, None, :, None])
        if self.query_segments is not None and self.key_segments is not None:
            segments = self.query_segments[:, :, None], self.key_segments[:, None, :]
            mask = both(mask, ops.equal(*segments)[:, None])
        return mask


def real_keys(mask, batch, length):
    """Which keys are real, boolean `(B, S)`. Without a mask of keys, all are."""
    if mask.keys is not None:
        return mask.keys
    return ops.ones((batch, length), dtype="bool")


def real_queries(mask, batch, length):
    """Which queries are real, boolean `(B, T)`. Without a mask of queries, all are."""
    if mask.queries is not None:
        return mask.queries
    return ops.ones((batch, length), dtype="bool")


def past(query_index, num_queries, num_keys):
    """Which keys the causal rule shows to some of the queries.

    Args:
        query_index: Integer `(t,)`.
        num_queries: T.
        num_keys: S.

    Returns:
        Boolean `(t, S)`.
    """
    last_visible = query_index + (num_keys - num_queries)
    keys = ops.arange(0, num_keys, dtype="int32")
    return ops.less_equal(keys[None, :], last_visible[:, None])


def both(first, second):
    """The conjunction of two masks, either of which may be `None`."""
    if first is None:
        return second
    if second is None:
        return first
    return ops.logical_and(first, second)


def carried_mask(x):
    """The padding mask attached to a tensor, `(B, T)`, or `None`.

    Keras has no public function for this, and each backend stores the mask in
    another place.
    """
    return get_keras_mask(x)


def carry_mask(x, mask):
    """Attaches a padding mask `(B, T)` to a tensor, and returns the tensor."""
    set_keras_mask(x, mask)
    return x


def hide_padding(x, mask):
    """Sets the padded steps of `x` to zero, so that NaN or Inf do not spread.

    A product with zero is not enough: `0 * NaN` is NaN, in values and gradients.

    Args:
        x: `(B, T, ...)`, or with more axes of lengths.
        mask: Boolean `(B, T)`, `True` for real steps, or with the same axes; or `None`.
    """
    if mask is None:
        return x
    shape = tuple(ops.shape(mask)) + (1,) * (len(x.shape) - len(mask.shape))
    mask = ops.reshape(ops.cast(mask, "bool"), shape)
    return ops.where(mask, x, ops.zeros((), dtype=x.dtype))


def boolean(mask):
    """A mask as booleans; `None` stays `None`."""
    return None if mask is None else ops.cast(mask, "bool")
