"""A cache of the keys and values of the last steps and of global tokens."""

from keras import ops

from keras_twa.layers.attention.states.joining import join
from keras_twa.layers.attention.states.state import Slot
from keras_twa.layers.attention.states.state import State
from keras_twa.masks import AttentionMask
from keras_twa.masks import real_keys
from keras_twa.ops.gather import steps_at
from keras_twa.ops.packing import count
from keras_twa.ops.packing import latest
from keras_twa.ops.packing import numbers
from keras_twa.ops.softmax.local import chosen
from keras_twa.ops.softmax.local import first_real

# The tensors of a state, and the prefix of the same tensors of global tokens.
WIDE, GLOBAL = ("key", "value"), "global_"


class WindowCache(State):
    """A cache of the last real steps of each row, and of global tokens.

    Its tensors are "key" and "value" `(B, size, heads, dim)`, and which of these are
    "real"; the same for global tokens, with the prefix "global_"; and, with `counts`,
    the "count" of real steps `(B,)`.

    Args:
        heads: Number of heads.
        key_dim: Width of the keys of each head.
        value_dim: Width of the values of each head.
        size: Number of steps that it holds.
        num_global_tokens: Number of the first real steps of each row that stay in it.
        counts: Whether it counts real steps.
    """

    def __init__(self, heads, key_dim, value_dim, size, num_global_tokens, counts):
        self.widths = {"key": (heads, key_dim), "value": (heads, value_dim)}
        self.size = size
        self.num_global_tokens = num_global_tokens
        self.counts = counts

    def slots(self, dtype, max_length=None):
        def of_steps(steps):
            found = {name: Slot((steps, *x), dtype) for name, x in self.widths.items()}
            return {**found, "real": Slot((steps,), "bool")}

        found = of_steps(self.size)
        if self.num_global_tokens:
            tokens = of_steps(self.num_global_tokens)
            found |= {GLOBAL + name: slot for name, slot in tokens.items()}
        return {**found, "count": Slot((), "int32")} if self.counts else found

    def num_keys(self, shapes, steps):
        held = self.size + self.num_global_tokens
        return None if steps is None else held + steps

    def extend(self, held, call):
        before, queries = held, call.mask.queries
        steps = real_keys(call.mask, *ops.shape(call["query"])[:2])
        tokens = {name: x for name, x in held.items() if name.startswith(GLOBAL)}
        held = {name: held[name] for name in (*WIDE, "real")}
        held, heads = join(held, call.heads, call.mask)
        real, counted = held["real"], numbers(held["real"])
        if tokens:
            # Global tokens come first, as they did in the sequence.
            joined = {
                name: ops.concatenate([tokens[GLOBAL + name], x], axis=1)
                for name, x in held.items()
            }
            real = joined["real"]
            select = first_real(real, self.num_global_tokens)
            tokens = {GLOBAL + name: chosen(select, joined[name]) for name in WIDE}
            tokens[GLOBAL + "real"] = ops.any(select, axis=2)
            heads |= {name: ops.cast(joined[name], heads[name].dtype) for name in WIDE}
            # A step that became a global token must not be in the window as well.
            taken = ops.any(select, axis=1)[:, self.num_global_tokens :]
            held["real"] = ops.logical_and(held["real"], ops.logical_not(taken))
            # All steps see global tokens, so their numbers do not matter.
            counted = ops.pad(counted, [[0, 0], [self.num_global_tokens, 0]])
        last = latest(held["real"], self.size)
        held = {name: steps_at(x, last) for name, x in held.items()}
        if self.counts:
            held["count"] = self.steps_before(before) + count(steps)
        # Steps that are not real are hidden, and so is the padding of the first window.
        mask = AttentionMask(True, queries, real, steps=counted)
        return {**held, **tokens}, call.replace(heads=heads, mask=mask, key_times=None)
