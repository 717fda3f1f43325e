"""The inputs of models of tokens: tokens, or packed rows of tokens."""

from keras import ops

from keras_twa.layers import checks

NAMES = ("tokens", "segment_ids")


def tokens_of(inputs):
    """The tokens among the inputs, or their shape among the shapes.

    Args:
        inputs: Tokens, or a dictionary of "tokens" and "segment_ids".
    """
    if not isinstance(inputs, dict):
        return inputs
    if "tokens" not in inputs or not {*inputs} <= {*NAMES}:
        raise ValueError(
            "Inputs must be tokens, or a dictionary of 'tokens' and 'segment_ids'. "
            f"Received: a dictionary of {sorted(inputs)}"
        )
    return inputs["tokens"]


def segments_of(inputs):
    """The segments of packed rows, integer `(B, T)`, 0 for padding, or `None`.

    Args:
        inputs: Integer `(B, T)`, or a dictionary of "tokens" and "segment_ids".
    """
    tokens = tokens_of(inputs)
    ids = inputs.get("segment_ids") if isinstance(inputs, dict) else None
    if ids is None:
        return None
    checks.segment_ids("segment_ids", ids, tokens[..., None])
    return ops.where(ops.equal(tokens, 0), 0, ids)
