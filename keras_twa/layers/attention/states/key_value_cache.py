"""A cache of the keys and values of all steps so far."""

from keras import ops

from keras_twa.layers.attention.states.joining import append
from keras_twa.layers.attention.states.joining import join
from keras_twa.layers.attention.states.state import Slot
from keras_twa.layers.attention.states.state import State
from keras_twa.masks import AttentionMask
from keras_twa.masks import past
from keras_twa.masks import real_keys
from keras_twa.ops import backend
from keras_twa.ops.packing import count
from keras_twa.ops.packing import numbers


class KeyValueCache(State):
    """A cache of the projected keys and values of all steps so far.

    Its tensors are these projections by name, `(B, L, heads, dim)`; which steps are
    "real", and their "time", both `(B, L)`. Without a maximum length, it grows with
    each call. With one, it has that length from the start, so that a compiled call
    always gets the same shapes; "length" then counts the steps in it.

    Args:
        projections: The `Projection`s of the layer.
    """

    def __init__(self, projections):
        self._projections = [x for x in projections if x.source != "query"]

    def slots(self, dtype, max_length=None):
        length = 0 if max_length is None else max_length
        found = {
            x.name: Slot((length, x.heads, x.dim), dtype) for x in self._projections
        }
        found |= {"real": Slot((length,), "bool"), "time": Slot((length,), "float32")}
        return found if max_length is None else {**found, "length": Slot((), "int32")}

    def steps_before(self, held):
        return count(held["real"])

    def shapes_after(self, shapes, steps):
        if "length" in shapes:
            return shapes

        def longer(shape):
            known = steps is not None and shape[1] is not None
            return (shape[0], shape[1] + steps if known else None, *shape[2:])

        return {name: longer(shape) for name, shape in shapes.items()}

    def num_keys(self, shapes, steps):
        return self.shapes_after(shapes, steps)["time"][1]

    def extend(self, held, call):
        heads, mask, times = call.heads, call.mask, call.query_times
        shape = ops.shape(heads["query"])[:2]
        steps, fixed = shape[1], "length" in held
        is_single = isinstance(steps, int) and steps == 1
        first = held["length"] if fixed else ops.shape(held["time"])[1]
        if fixed:
            heads = _in_room(heads, first, steps, held["time"].shape[1])
        # At the beginning, without padding, keys are simply at 0, 1, 2, ...
        is_plain = times is None and mask.keys is None
        is_plain = is_plain and isinstance(first, int) and first == 0
        if times is None:
            before = self.steps_before(held)[:, None]
            times = ops.cast(numbers(real_keys(mask, *shape), before), "float32")
        put = _writer_at(first) if fixed else append
        held, heads = join(held, heads, mask, times, put)
        pairs = None
        if fixed:
            held["length"] = first + steps
            # The free part of the cache is not real, which is enough to hide it from
            # one step.
            if not is_single:
                room = ops.shape(held["time"])[1]
                queries = ops.arange(0, steps, dtype="int32") + first
                pairs = past(queries, room, room)[None, None]
        keys = None if is_plain else held["real"]
        return held, call.replace(
            heads=heads,
            mask=AttentionMask(not fixed and not is_single, mask.queries, keys, pairs),
            query_times=None if is_plain else times,
            key_times=None if is_plain else held["time"],
        )


def _in_room(heads, first, steps, length):
    """The heads, if the cache has room for them.

    Inside a compiled function, where the number of steps is not known, a full cache
    gives NaN.
    """
    known = backend.known(first)
    if known is None:
        has_room = ops.less_equal(first + steps, length)
        return {**heads, "query": ops.where(has_room, heads["query"], float("nan"))}
    if known + steps > length:
        raise ValueError(
            "The state has no room for these steps: pass a larger `max_length` to "
            f"`initial_state`. Received: max_length={length}, {known} steps so far and "
            f"{steps} more"
        )
    return heads


def _writer_at(first):
    """A function that writes steps into a tensor, starting at step `first`."""

    def write(before, x):
        start = (0, first, *(0 for _ in before.shape[2:]))
        return ops.slice_update(before, start, ops.cast(x, before.dtype))

    return write
