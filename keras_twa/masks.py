"""Which keys each query may attend to, kept as structure until someone needs it dense.

`True` means attend, everywhere. Causality and padding are stored as a flag and
as vectors of length T or S, so a kernel that works on tiles, or one that folds
padding away, never has to build the `(T, S)` matrix.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

Tensor = Any


@dataclass(frozen=True)
class AttentionMask:
    """The conjunction of a causal rule, padding, and explicit pairs.

    Causality is aligned bottom-right: with T queries and S keys, query `i` sees
    key `j` when `j <= i + S - T`, so the last query always sees the last key.

    Args:
        causal: Whether the future is hidden.
        queries: Boolean `(B, T)` or `None`: rows that are real. A padded row
            attends to nothing and its output is zero.
        keys: Boolean `(B, S)` or `None`: keys that are real.
        pairs: Boolean `(B or 1, H or 1, T, S)` or `None`: explicit pairs.
    """

    causal: bool = False
    queries: Tensor | None = None
    keys: Tensor | None = None
    pairs: Tensor | None = None

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

        Keys that `attention_mask` shows to no query at all count as padding, so
        that whatever stands there (even NaN) cannot reach the output.
        """
        keys = _both(_boolean(value_mask), _boolean(key_mask))
        pairs = _boolean(attention_mask)
        if pairs is not None:
            if len(pairs.shape) == 3:
                pairs = ops.expand_dims(pairs, axis=1)
            seen = ops.any(pairs, axis=(1, 2))
            if seen.shape[0] == 1 and keys is not None:
                seen = ops.broadcast_to(seen, ops.shape(keys))
            keys = _both(keys, seen)
        return cls(bool(use_causal_mask), _boolean(query_mask), keys, pairs)

    def visible(self, num_queries, num_keys, query_index=None):
        """The dense mask of causality and pairs, without padding, or `None`.

        Args:
            num_queries: T.
            num_keys: S.
            query_index: Integer `(t,)`: only these rows, all by default.

        Returns:
            Boolean, broadcastable to `(B, H, t, S)`.
        """
        if query_index is None:
            query_index = ops.arange(num_queries, dtype="int32")
            pairs = self.pairs
        else:
            pairs = self.pairs
            if pairs is not None and pairs.shape[2] != 1:
                pairs = ops.take(pairs, query_index, axis=2)
        if not self.causal:
            return pairs
        last_visible = ops.add(query_index, num_keys - num_queries)
        past = ops.less_equal(
            ops.arange(num_keys, dtype="int32")[None, :], last_visible[:, None]
        )
        return _both(past[None, None], pairs)

    def dense(self, num_queries, num_keys):
        """Everything at once: boolean, broadcastable to `(B, H, T, S)`, or `None`."""
        visible = self.visible(num_queries, num_keys)
        if self.keys is not None:
            visible = _both(visible, self.keys[:, None, None, :])
        if self.queries is not None:
            visible = _both(visible, self.queries[:, None, :, None])
        return visible


def hide_padding(x, mask):
    """Sets the padded steps of `x` to zero, so that NaN or Inf there stay there.

    A product with zero would not do: `0 * NaN` is NaN, in the values and in the
    gradients alike.

    Args:
        x: `(B, T, ...)`.
        mask: Boolean `(B, T)`, `True` for real steps, or `None`.
    """
    if mask is None:
        return x
    shape = tuple(ops.shape(mask)) + (1,) * (len(x.shape) - 2)
    mask = ops.reshape(ops.cast(mask, "bool"), shape)
    return ops.where(mask, x, ops.zeros((), dtype=x.dtype))


def _boolean(mask):
    return None if mask is None else ops.cast(mask, "bool")


def _both(first, second):
    if first is None:
        return second
    if second is None:
        return first
    return ops.logical_and(first, second)
