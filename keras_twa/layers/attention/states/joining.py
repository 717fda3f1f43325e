"""Appends the steps of a call to those that a state holds."""

from keras import ops

from keras_twa.masks import real_keys


def append(before, x):
    """Concatenates tensors `(B, L, ...)` and `(B, T, ...)` along the second axis."""
    return ops.concatenate([before, ops.cast(x, before.dtype)], axis=1)


def join(held, heads, mask, times=None, put=append):
    """Appends the heads of new steps to those in a state.

    Args:
        held: Dictionary of tensors `(B, L, ...)`: heads by name, "real", and optionally
            "time".
        heads: Dictionary of tensors `(B, T, heads, dim)` of the new steps.
        mask: Their `AttentionMask`.
        times: Their times `(B or 1, T)`, if times are held.
        put: Function that takes a held tensor and a new one, and returns both joined.

    Returns:
        The held tensors with the new steps added, and the heads with all keys.
    """
    shape = ops.shape(heads["query"])[:2]
    new = {name: x for name, x in heads.items() if name in held}
    new["real"] = real_keys(mask, *shape)
    if "time" in held:
        new["time"] = ops.broadcast_to(times, shape)
    held = {name: put(held[name], x) for name, x in new.items()}
    heads = {
        name: ops.cast(held[name], x.dtype) if name in held else x
        for name, x in heads.items()
    }
    return held, heads
