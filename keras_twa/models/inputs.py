"""The inputs of models of tokens: tokens, or packed rows of tokens."""

from keras import ops

from keras_twa.layers import checks
from keras_twa.ops.segments import runs

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
    """The segments of packed rows, or `None` if rows are not packed.

    They are numbered 1, 2, 3, ... in each row. A segment without a real token also has
    its number, so that labels stay in their places.

    Args:
        inputs: Integer `(B, T)`, or a dictionary of "tokens" and "segment_ids".

    Returns:
        Integer `(B, T)`, 0 for padding, or `None`.
    """
    tokens = tokens_of(inputs)
    ids = inputs.get("segment_ids") if isinstance(inputs, dict) else None
    if ids is None:
        return None
    checks.segment_ids("segment_ids", ids, tokens[..., None])
    return ops.where(real_of(inputs), runs(ids), 0)


def real_of(inputs):
    """Which tokens are real, boolean `(B, T)`.

    Args:
        inputs: Integer `(B, T)`, or a dictionary of "tokens" and "segment_ids".
    """
    real = ops.not_equal(tokens_of(inputs), 0)
    if isinstance(inputs, dict) and "segment_ids" in inputs:
        real = ops.logical_and(real, ops.not_equal(inputs["segment_ids"], 0))
    return real
