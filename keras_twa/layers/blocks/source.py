"""The encoder sequence of a decoder block: whether there should be one."""

from keras_twa.layers import checks


def check_source(crosses, encoder_sequence, encoder_padding_mask, encoder_positions):
    """Refuses an encoder sequence that is not expected, or none where one is.

    Args:
        crosses: Whether the block has cross-attention.
        encoder_sequence: `(B, S, G)`, or `None`.
        encoder_padding_mask: Boolean `(B, S)`, or `None`.
        encoder_positions: `(S,)` or `(B, S)`, or `None`.
    """
    source = {
        "encoder_sequence": encoder_sequence,
        "encoder_padding_mask": encoder_padding_mask,
        "encoder_positions": encoder_positions,
    }
    if not crosses:
        why = "This block was built without an encoder sequence: it cannot take one."
        refuse(source, why)
    elif encoder_sequence is None:
        raise ValueError(
            "This block has cross-attention: give it an encoder sequence. "
            "Received: encoder_sequence=None"
        )
    else:
        mask, times = encoder_padding_mask, encoder_positions
        checks.padding("encoder_padding_mask", mask, encoder_sequence)
        checks.positions("encoder_positions", times, encoder_sequence)


def refuse(arguments, why):
    """Refuses what is given of some arguments."""
    for name, given in arguments.items():
        if given is not None:
            shape = tuple(given.shape)
            raise ValueError(f"{why} Received: {name} of shape {shape}")
