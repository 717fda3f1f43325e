"""The times of a decoder's steps, and of the encoder steps that it attends to."""

from keras import ops

from keras_twa.masks import boolean
from keras_twa.ops.packing import numbers
from keras_twa.ops.segments import numbers_within


def numbers_of_both(decoder, encoder, state):
    """Numbers the real steps of each row, or each segment, in two sequences.

    Args:
        decoder: `(B, T, F)`; which steps are real, boolean `(B, T)` or `None`; and the
            segments of packed rows, integer `(B, T)`, 0 for padding, or `None`.
        encoder: The same for the encoder sequence. Ignored with a state.
        state: The state before the call, or `None`.

    Returns:
        Float32 `(B, T)` and `(B, S)`.
    """
    segments = decoder[2], encoder[2]
    if segments[0] is not None:
        return tuple(ops.cast(numbers_within(ids), "float32") for ids in segments)
    before = 0
    if state is not None:
        before, projected = state["count"][:, None], state["cross_attention"]
        encoder = next(iter(projected.values())), projected.get("real")
    found = (
        numbers(real_steps(decoder[1], decoder[0]), before),
        numbers(real_steps(encoder[1], encoder[0])),
    )
    return tuple(ops.cast(x, "float32") for x in found)


def real_steps(mask, x):
    """Which steps of `x` are real, boolean `(B, T)`."""
    if mask is None:
        return ops.ones(ops.shape(x)[:2], dtype="bool")
    return boolean(mask)


def with_times(source, query_times, key_times):
    """The arguments of attention to `source`, with the times of both sequences."""
    if "projected" not in source:
        return {"query_positions": query_times, "key_positions": key_times}
    projected = source["projected"]
    if "time" not in projected:
        projected = {**projected, "time": key_times}
    return {"projected": projected, "query_positions": query_times}
