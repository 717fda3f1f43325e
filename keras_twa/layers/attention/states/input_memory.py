"""A state that holds the inputs of the last steps, which each call projects again."""

from keras import ops

from keras_twa.layers.attention.states.joining import join
from keras_twa.layers.attention.states.state import Slot
from keras_twa.layers.attention.states.state import State
from keras_twa.masks import AttentionMask
from keras_twa.masks import real_keys
from keras_twa.ops.gather import steps_at
from keras_twa.ops.packing import latest
from keras_twa.ops.packing import numbers


class InputMemory(State):
    """The inputs of the last real steps of each row, without a gradient.

    Its tensors are "memory" `(B, size, F)`; which of its steps are "real", and their
    "time" relative to the last one, both `(B, size)`; and the time of the last one,
    "last" `(B,)`. Relative times stay small, and so accurate in float32, in streams of
    any length.

    Args:
        size: Number of steps that it holds.
        features: F, the width of the inputs.
    """

    def __init__(self, size, features):
        self.size = size
        self.features = features

    def slots(self, dtype, max_length=None):
        return {
            "memory": Slot((self.size, self.features), dtype),
            "real": Slot((self.size,), "bool"),
            "time": Slot((self.size,), "float32"),
            # The first step is number 0.
            "last": Slot((), "float32", -1.0),
        }

    def num_keys(self, shapes, steps):
        return None if steps is None else self.size + steps

    def add_inputs(self, held, x, mask):
        """Appends the inputs of a call to the memory.

        Args:
            held: The state before the call.
            x: The inputs, `(B, T, F)`.
            mask: The `AttentionMask` of the call.

        Returns:
            The inputs of the memory and the call, and the next memory.
        """
        memory = held["memory"]
        seen = ops.concatenate([ops.cast(memory, x.dtype), x], axis=1)
        real = [held["real"], real_keys(mask, *ops.shape(x)[:2])]
        last = latest(ops.concatenate(real, axis=1), self.size)
        kept = ops.cast(steps_at(seen, last), memory.dtype)
        return seen, ops.stop_gradient(kept)

    def extend(self, held, call):
        shape = ops.shape(call["query"])[:2]
        origin = held["last"][:, None]
        if call.query_times is None:
            after = ops.cast(numbers(real_keys(call.mask, *shape), 1), "float32")
        else:
            after = ops.broadcast_to(call.query_times, shape) - origin
        times = {name: held[name] for name in ("real", "time")}
        times, heads = join(times, call.heads, call.mask, after)
        # A single step sees all keys, so it needs no causal mask.
        is_single = isinstance(shape[1], int) and shape[1] == 1
        mask = AttentionMask(not is_single, call.mask.queries, times["real"])
        last = latest(times["real"], self.size)
        held = {name: steps_at(x, last) for name, x in times.items()}
        passed = ops.where(held["real"][:, -1:], held["time"][:, -1:], 0.0)
        held["time"] = held["time"] - passed
        held["last"] = (origin + passed)[:, 0]
        return held, call.replace(
            heads=heads, mask=mask, query_times=after, key_times=times["time"]
        )
