"""A gate that weighs the timescales of each step."""

import math

from keras import ops


def gate_timescales(joint, gates, select=None):
    """Multiplies each of N timescales by its gate, `N softmax(gates)`.

    Args:
        joint: `(B, T, H, N * D)`, the concatenated timescales of each head.
        gates: The logits of the gates, `(B, T, H, N)`.
        select: How many timescales to keep, or `None` for all. The others get a gate of
            0, unless they have the same logit as the last one that is kept.

    Returns:
        The shape and dtype of `joint`.
    """
    shape = ops.shape(joint)
    count = gates.shape[-1]
    logits = ops.cast(gates, "float32")
    if select is not None and select < count:
        least = ops.sort(logits, axis=-1)[..., count - select : count - select + 1]
        logits = ops.where(ops.greater_equal(logits, least), logits, -math.inf)
    weights = ops.cast(count * ops.softmax(logits, axis=-1), joint.dtype)
    split = ops.reshape(joint, (*shape[:3], count, joint.shape[-1] // count))
    return ops.reshape(split * weights[..., None], shape)
