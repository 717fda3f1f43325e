"""Checks the encoder sequence of a decoder block, and its times."""

from keras_twa.layers import checks


def check_source(
    crosses,
    encoder_sequence,
    encoder_padding_mask,
    encoder_positions,
    encoder_segment_ids=None,
):
    """Raises if an encoder sequence is missing, or not expected.

    Args:
        crosses: Whether the block has cross-attention.
        encoder_sequence: `(B, S, G)`, or `None`.
        encoder_padding_mask: Boolean `(B, S)`, or `None`.
        encoder_positions: `(S,)` or `(B, S)`, or `None`.
        encoder_segment_ids: Integer `(B, S)`, or `None`.
    """
    source = {
        "encoder_sequence": encoder_sequence,
        "encoder_padding_mask": encoder_padding_mask,
        "encoder_positions": encoder_positions,
        "encoder_segment_ids": encoder_segment_ids,
    }
    if not crosses:
        why = "This block was built without an encoder sequence and cannot take one."
        refuse(source, why)
    elif encoder_sequence is None:
        raise ValueError(
            "This block has cross-attention: pass an encoder sequence. "
            "Received: encoder_sequence=None"
        )
    else:
        mask, times = encoder_padding_mask, encoder_positions
        checks.padding("encoder_padding_mask", mask, encoder_sequence)
        checks.positions("encoder_positions", times, encoder_sequence)


def check_times_of_both(positions, encoder_positions, state):
    """Raises if only one of the two sequences has times.

    Args:
        positions: Times of the decoder's steps, or `None`.
        encoder_positions: Times of the encoder's steps, or `None`.
        state: The state before the call, which has the encoder's times, or `None`.
    """
    timed = encoder_positions is not None
    if state is not None:
        timed = "time" in state["cross_attention"]
    if timed != (positions is not None):
        raise ValueError(
            "This block's cross-attention depends on times: pass the times of both "
            "sequences or of neither. Received: decoder_positions "
            f"{'not ' * (positions is None)}given, encoder_positions "
            f"{'not ' * (not timed)}given"
        )


def refuse(arguments, why):
    """Raises if any of some arguments is given."""
    for name, given in arguments.items():
        if given is not None:
            shape = tuple(given.shape)
            raise ValueError(f"{why} Received: {name} of shape {shape}")
