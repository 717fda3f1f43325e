"""The keys and values of the steps so far, for attention that goes on.

A cache is a dictionary of tensors: what `Attention.projections` makes of keys and
values, `(B, L, heads, dim)`, which steps are "real" and their "time", both `(B, L)`.
Without a longest length it grows by each call. With one it is as long from the
beginning, so that a compiled call meets the same shapes each time; "length" then counts
the steps in it.
"""

from keras import ops

from keras_twa.layers.attention.streaming import Slot
from keras_twa.masks import AttentionMask
from keras_twa.masks import past
from keras_twa.masks import real_keys
from keras_twa.ops import backend
from keras_twa.ops.packing import count
from keras_twa.ops.packing import numbers


def spec(projections, dtype, max_length):
    """The `Slot`s of an empty cache."""
    length = 0 if max_length is None else max_length
    found = {
        projection.name: Slot((length, projection.heads, projection.dim), dtype)
        for projection in projections
        if projection.source != "query"
    }
    found |= {"real": Slot((length,), "bool"), "time": Slot((length,), "float32")}
    return found if max_length is None else {**found, "length": Slot((), "int32")}


def length(cache):
    """How many steps there are in a cache, padding among them."""
    return cache["length"] if "length" in cache else ops.shape(cache["time"])[1]


def shapes_after(shapes, steps):
    """The shapes of the tensors of a cache, after so many more steps."""
    if "length" in shapes:
        return shapes

    def longer(shape):
        known = steps is not None and shape[1] is not None
        return (shape[0], shape[1] + steps if known else None, *shape[2:])

    return {name: longer(shape) for name, shape in shapes.items()}


def extend(cache, heads, mask, times):
    """Puts further steps into a cache.

    Args:
        cache: A cache.
        heads: Dictionary of tensors `(B, T, heads, dim)` of these steps.
        mask: Their `AttentionMask`.
        times: Their times `(B or 1, T)`, or `None` for their numbers among the real
            steps of their rows.

    Returns:
        The cache with these steps, the heads with all keys in them, the mask, and the
        times of queries and keys: `None` where those are 0, 1, 2, ...
    """
    steps = ops.shape(heads["query"])[1]
    fixed, single = "length" in cache, isinstance(steps, int) and steps == 1
    first = length(cache)
    if fixed:
        heads = in_room(heads, first, steps, cache["time"].shape[1])
    real = mask.keys
    plain = times is None and real is None and isinstance(first, int) and first == 0
    if times is None:
        known = real_keys(mask, *ops.shape(heads["query"])[:2])
        times = numbers(known, count(cache["real"])[:, None])
        times = ops.cast(times, "float32")
    put = _write_at(first) if fixed else _append
    cache, heads = join(cache, heads, mask, times, put)
    pairs = None
    if fixed:
        cache["length"] = first + steps
        # Nothing of what is to come is real yet, so one step needs no more than that.
        if not single:
            room = ops.shape(cache["time"])[1]
            queries = ops.arange(0, steps, dtype="int32") + first
            pairs = past(queries, room, room)[None, None]
    keys = None if plain else cache["real"]
    seen = AttentionMask(not fixed and not single, mask.queries, keys, pairs)
    if plain:
        return cache, heads, seen, None, None
    return cache, heads, seen, times, cache["time"]


def _append(before, x):
    return ops.concatenate([before, ops.cast(x, before.dtype)], axis=1)


def join(cache, heads, mask, times=None, put=_append):
    """Puts the heads of further steps behind those in a cache.

    Args:
        cache: A cache, with "time" or without.
        heads: Dictionary of tensors `(B, T, heads, dim)` of these steps.
        mask: Their `AttentionMask`.
        times: Their times `(B or 1, T)`, if the cache holds times.
        put: Function of what is held and what is new, to both.

    Returns:
        The cache with these steps, and the heads with all keys in them.
    """
    shape = ops.shape(heads["query"])[:2]
    new = {name: x for name, x in heads.items() if name in cache}
    new["real"] = real_keys(mask, *shape)
    if "time" in cache:
        new["time"] = ops.broadcast_to(times, shape)
    cache = {name: put(cache[name], x) for name, x in new.items()}
    heads = {
        name: ops.cast(cache[name], x.dtype) if name in cache else x
        for name, x in heads.items()
    }
    return cache, heads


def in_room(heads, first, steps, length):
    """The heads, if a cache has room for them.

    Inside a compiled function, where nobody knows yet, a full cache gives NaN.
    """
    known = backend.known(first)
    if known is None:
        room = ops.less_equal(first + steps, length)
        return {**heads, "query": ops.where(room, heads["query"], float("nan"))}
    if known + steps > length:
        raise ValueError(
            "The state has no room for these steps: ask `initial_state` for a larger "
            f"`max_length`. Received: max_length={length}, {known} steps so far and "
            f"{steps} more"
        )
    return heads


def _write_at(first):
    def write(before, x):
        start = (0, first, *(0 for _ in before.shape[2:]))
        return ops.slice_update(before, start, ops.cast(x, before.dtype))

    return write
