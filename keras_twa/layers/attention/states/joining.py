"""Putting the time steps of a call behind those that a state holds."""

from keras import ops

from keras_twa.masks import real_keys


def append(before, x):
    """Tensors `(B, L, ...)` and `(B, T, ...)`, one behind the other."""
    return ops.concatenate([before, ops.cast(x, before.dtype)], axis=1)


def join(held, heads, mask, times=None, put=append):
    """Puts the heads of further steps behind those that are held.

    Args:
        held: Dictionary of tensors `(B, L, ...)`: heads by name, "real", and "time" or
            not.
        heads: Dictionary of tensors `(B, T, heads, dim)` of these steps.
        mask: Their `AttentionMask`.
        times: Their times `(B or 1, T)`, if times are held.
        put: Function of what is held and what is new, to both.

    Returns:
        The held tensors with these steps in them, and the heads with all keys in them.
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
