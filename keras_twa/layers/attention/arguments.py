"""The arguments of a call of an attention layer, resolved and checked once.

`call` and `compute_output_spec` both use this, so a symbolic call raises the same
errors as a real one.
"""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.conversion import SEGMENTS
from keras_twa.layers.attention.conversion import named
from keras_twa.layers.attention.counting import real_steps
from keras_twa.layers.attention.folding import Fold
from keras_twa.masks import boolean
from keras_twa.masks import both
from keras_twa.masks import carried_mask
from keras_twa.ops import backend
from keras_twa.ops.segments import runs
from keras_twa.times import check_times


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call, with their defaults filled in.

    Inputs are sequences: any additional axes are folded into batch and length.

    Args:
        query: `(B, T, F)`.
        value: `(B, S, F)`, the query itself in self-attention; with `projected`, a
            placeholder for it.
        key: `(B, S, F)`, the value itself unless a key was given.
        query_mask: Boolean `(B, T)`, or `None`.
        value_mask: Boolean `(B, S)`, or `None`.
        key_mask: Boolean `(B, S)`, or `None`.
        attention_mask: Boolean `(B or 1, H or 1, T or 1, S)`, or `None`.
        query_positions: Times of the queries, or `None`.
        key_positions: Times of the keys, or `None`.
        is_causal: Whether the call is causal, either on request or because the layer
            always is.
        return_scores: Whether the attention weights are returned.
        state: The state before the call, or `None`.
        return_state: Whether the state after the call is returned.
        projected: The value and key as `project` returned them, or `None`.
        segment_ids: Integer `(B, T)`, the segments of the queries, or `None`.
        key_segment_ids: Integer `(B, S)`, those of the keys, or `None`.
        fold: The `Fold` of the additional axes.
        given_query: The query before it was folded.
        given_key: The key before it was folded.
    """

    query: Any
    value: Any
    key: Any
    query_mask: Any
    value_mask: Any
    key_mask: Any
    attention_mask: Any
    query_positions: Any
    key_positions: Any
    is_causal: bool
    return_scores: bool
    state: dict[str, Any] | None
    return_state: bool
    projected: dict[str, Any] | None
    segment_ids: Any
    key_segment_ids: Any
    fold: Fold
    given_query: Any
    given_key: Any

    @property
    def is_self_attention(self):
        """Whether queries, keys and values come from the same sequence."""
        return self.value is self.query and self.key is self.query

    def segmented(self, mask):
        """An `AttentionMask` with the segments of this call, if it has any."""
        if self.segment_ids is None:
            return mask
        ids, key_ids = self.segment_ids, self.key_segment_ids
        if self.is_self_attention:
            ids = key_ids = runs(ids)
        return replace(mask, query_segments=ids, key_segments=key_ids)

    def results(self, outputs, weights, state):
        """The return value of the call, with the axes of its inputs.

        Args:
            outputs: `(B, T, output_shape)`.
            weights: `(B, H, T, S)`, or `None`.
            state: The state after the call, or `None`.
        """
        if self.fold.rank > 3:
            outputs = self.fold.unfold(outputs, self.given_query)
        if self.fold.rank > 3 and self.return_scores:
            of = self.given_query, self.given_key
            weights = self.fold.unfold_scores(weights, *of)
        results = [outputs]
        results += [weights] if self.return_scores else []
        results += [state] if self.return_state else []
        return results[0] if len(results) == 1 else tuple(results)


def resolve(layer, *args, **kwargs):
    """Resolves the arguments of a call of an attention layer.

    Args:
        layer: The attention layer.
        *args: The positional arguments.
        **kwargs: The keyword arguments. Missing ones are `None`.

    Returns:
        The `Arguments`.

    Raises:
        ValueError: If the arguments do not fit the layer or one another.
    """
    given = named(args, kwargs)
    of = query, _, key = _sources(given)
    fold = Fold.of_shapes(layer.attention_axes, *(x.shape for x in of))
    arguments = _with_defaults(
        layer, fold.arguments(layer, given, of), fold, query, key
    )
    checks.call_of_attention(layer, arguments)
    layer.check_call(arguments)
    if isinstance(arguments.query, keras.KerasTensor):
        return arguments
    arguments = _with_padding(arguments)
    _check_times(layer, arguments)
    return arguments


def _sources(given):
    """Query, value and key. A missing one defaults to the one before it."""
    query = given["query"]
    value = query if given.get("value") is None else given["value"]
    key = value if given.get("key") is None else given["key"]
    return query, value, key


def _with_defaults(layer, given, fold, given_query, given_key):
    """The `Arguments` made from a dictionary of folded arguments."""
    query, value, key = _sources(given)
    query_mask, value_mask = given.get("query_mask"), given.get("value_mask")
    key_positions = given.get("key_positions")
    projected = given.get("projected")
    if query_mask is None:
        # Inside `Sequential`, the only input carries its mask.
        query_mask = carried_mask(query)
    if projected is not None:
        names = ("value", "key", "value_mask", "key_mask", "key_positions")
        others = {name: given.get(name) for name in names}
        opened = layer.open_projected(projected, query, **others)
        value, value_mask, key_positions = opened
        key = value
    elif given.get("value") is None and value_mask is None:
        value_mask = query_mask
    if value is query and key_positions is None:
        key_positions = given.get("query_positions")
    segment_ids, key_segment_ids = (given.get(name) for name in SEGMENTS)
    if value is query and key is query and key_segment_ids is None:
        key_segment_ids = segment_ids
    return Arguments(
        query=query,
        value=value,
        key=key,
        query_mask=query_mask,
        value_mask=value_mask,
        key_mask=given.get("key_mask"),
        attention_mask=given.get("attention_mask"),
        query_positions=given.get("query_positions"),
        key_positions=key_positions,
        is_causal=bool(given.get("use_causal_mask")) or layer.causality == "always",
        return_scores=bool(given.get("return_attention_scores")),
        state=given.get("initial_state"),
        return_state=bool(given.get("return_state")),
        projected=projected,
        segment_ids=segment_ids,
        key_segment_ids=key_segment_ids,
        fold=fold,
        given_query=given_query,
        given_key=given_key,
    )


def _with_padding(arguments):
    """The arguments of packed rows: padding is masked, and belongs to segment 0."""
    ids, key_ids = arguments.segment_ids, arguments.key_segment_ids
    if ids is None:
        return arguments
    masks = arguments.query_mask, arguments.value_mask
    query_mask = both(boolean(masks[0]), ops.not_equal(ids, 0))
    value_mask = query_mask
    if key_ids is not ids or masks[0] is not masks[1]:
        value_mask = both(boolean(masks[1]), ops.not_equal(key_ids, 0))
    if arguments.is_self_attention:
        real = real_steps(query_mask, value_mask, arguments.key_mask)
        ids = key_ids = ops.where(real, ids, 0)
    else:
        ids = ops.where(query_mask, ids, 0)
        key_ids = ops.where(value_mask, key_ids, 0)
    return replace(
        arguments,
        query_mask=query_mask,
        value_mask=value_mask,
        segment_ids=ids,
        key_segment_ids=key_ids,
    )


def _check_times(layer, arguments):
    """Checks the times of a call, where their values are known."""
    kinds = [
        ("query_positions", arguments.query_positions, arguments.query_mask),
        ("key_positions", arguments.key_positions, arguments.value_mask),
    ]
    if arguments.query_positions is arguments.key_positions:
        kinds = kinds[:1]
    for name, given, mask in kinds:
        times = None if given is None else backend.array(given)
        real = None if mask is None or times is None else backend.array(mask)
        # Without the values of the mask, it is unknown which times belong to padding.
        if times is None or (mask is not None and real is None):
            continue
        # A layer whose times must not decrease keeps the last time in its state.
        follows = arguments.state is not None and not layer.times_may_fall
        after = backend.array(arguments.state["time"]) if follows else None
        ids = arguments.segment_ids
        if ids is None or layer.times_may_fall:
            check_times(times, real, name, layer.times_may_fall, after)
            continue
        # Within a segment, times must not decrease.
        ids = backend.array(runs(ids))
        for number in range(1, (0 if ids is None else int(ids.max(initial=0))) + 1):
            check_times(times, real & (ids == number), name, may_fall=False)
