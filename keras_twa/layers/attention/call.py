"""One call of an attention layer, as passed to its mechanism."""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from keras_twa.masks import AttentionMask
from keras_twa.ops import WeightDropout


@dataclass(frozen=True)
class Call:
    """The inputs of `attend`.

    Args:
        heads: Dictionary from the name of each projection to its tensor,
            `(B, T, heads, dim)` for queries, `(B, S, heads, dim)` for keys and values.
            Masked time steps are finite.
        mask: The `AttentionMask`.
        query_times: Float32 `(B or 1, T)`, or `None` for 0, 1, 2, ...
        key_times: Float32 `(B or 1, S)`, or `None`.
        dropout: The `WeightDropout` of attention weights, or `None`.
        return_weights: Whether the attention weights are returned too.
        state: The state before the call, a dictionary of tensors, or `None`.
    """

    heads: dict[str, Any]
    mask: AttentionMask
    query_times: Any = None
    key_times: Any = None
    dropout: WeightDropout | None = None
    return_weights: bool = False
    state: dict[str, Any] | None = None

    def __getitem__(self, name):
        """The tensor of a projection, by its name."""
        return self.heads[name]

    def replace(self, **changes):
        """The same call with other values of some fields."""
        return replace(self, **changes)
