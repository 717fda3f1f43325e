"""Checks the encoder sequence of a decoder block."""

from keras_twa.layers import checks


def check_source(crosses, encoder_sequence, encoder_padding_mask, encoder_positions):
    """Raises if an encoder sequence is missing, or not expected.

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


def refuse(arguments, why):
    """Raises if any of some arguments is given."""
    for name, given in arguments.items():
        if given is not None:
            shape = tuple(given.shape)
            raise ValueError(f"{why} Received: {name} of shape {shape}")
