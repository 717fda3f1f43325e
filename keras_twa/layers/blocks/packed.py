"""Packed rows in blocks: what blocks check, and which steps are real."""

from keras import ops

from keras_twa.layers import checks
from keras_twa.masks import boolean
from keras_twa.masks import both


def real_and_segments(padding_mask, segment_ids):
    """Which steps are real, and their segments.

    Args:
        padding_mask: Boolean `(B, T)`, or `None`.
        segment_ids: Integer `(B, T)`, 0 for padding, or `None` if rows are not packed.

    Returns:
        The mask, without the steps of segment 0; and the segments, 0 where the mask is
        false. Without segments, the mask as it is, and `None`.
    """
    if segment_ids is None:
        return padding_mask, None
    real = both(boolean(padding_mask), ops.not_equal(segment_ids, 0))
    return real, ops.where(real, segment_ids, 0)


def check_segments(attentions, sequences, streams):
    """Raises if the segments of a call of a block do not fit.

    Args:
        attentions: The attention layers of the block.
        sequences: A dictionary from the name of an argument to the segments, or `None`,
            and their sequence.
        streams: Whether the call has a state.
    """
    given = [name for name, (ids, _) in sequences.items() if ids is not None]
    if not given:
        return
    for layer in attentions:
        checks.packs(layer)
    for name, (ids, x) in sequences.items():
        if ids is None:
            raise ValueError(
                "In packed rows, both sequences need segments. "
                f"Received: {given[0]}, {name}=None"
            )
        checks.segment_ids(name, ids, x)
    if streams:
        checks.no_state_of_packed_rows(sequences[given[0]][0], "a state")
