"""Times that are counted from the last real step before a call.

Memories that fade and keys that turn ask for differences of times only. Counted from
the step before, these stay small, and float32 keeps their digits however long a stream
has been running.
"""

import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.masks import real_keys
from keras_twa.ops import rotate
from keras_twa.ops.packing import numbers
from keras_twa.ops.recurrent.subchunks import NOTHING
from keras_twa.ops.softmax.scores import earliest


@dataclass(frozen=True)
class Clock:
    """The times of the steps of a call.

    Args:
        times: Float32 `(B or 1, T)`, from the last real step before the call or, where
            there is none, from the first of the call. `None` for 0, 1, 2, ...
        origin: The time that these are counted from, float32 `(B,)`, or `None` without
            a state.
        before: The time of the last real step before the call as these count it,
            `(B,)`: 0, or `NOTHING` where there is none. `None` without a state.
    """

    times: Any
    origin: Any = None
    before: Any = None

    @classmethod
    def of(cls, call):
        """The clock of a call.

        Args:
            call: The `Call`. Its state, if it has one, has the "time" of the last real
                step `(B,)`, which is `NOTHING` where there was none.
        """
        times, keys = call.query_times, call.mask.keys
        if call.state is None:
            return cls(None if times is None else times - earliest(times, keys))
        last = call.state["time"]
        started = ops.greater(last, NOTHING / 2)
        before = ops.where(started, 0.0, NOTHING)
        if times is None:
            real = real_keys(call.mask, *ops.shape(call["query"])[:2])
            # The first step is number 0.
            origin = ops.where(started, last, -1.0)
            return cls(ops.cast(numbers(real, 1), "float32"), origin, before)
        origin = ops.where(started, last, earliest(times, keys)[:, 0])
        return cls(times - origin[:, None], origin, before)

    def turn(self, x):
        """`(B, T, H, D)` with pairs of channels turned by the times of the steps."""
        steps = self.times
        if steps is None:
            steps = ops.arange(0, ops.shape(x)[1], dtype="int32")[None]
        return rotate(x, steps)

    def next_state(self, memory, last):
        """The state after the call, counted from its last real step.

        Args:
            memory: `(B, H, D, ...)`, made of keys that `turn` turned.
            last: The time of the last real step `(B,)`, as `times` counts, or
                `NOTHING`.

        Returns:
            A dictionary of the "memory" and the "time".
        """
        if self.origin is None:
            return {}
        started = ops.greater(last, NOTHING / 2)
        passed = ops.where(started, last, 0.0)
        shape = ops.shape(memory)
        # As if the rest of the axes were steps.
        keys = ops.reshape(memory, (*shape[:3], math.prod(shape[3:])))
        keys = rotate(ops.transpose(keys, (0, 3, 1, 2)), -passed[:, None])
        keys = ops.reshape(ops.transpose(keys, (0, 2, 3, 1)), shape)
        time = ops.where(started, self.origin + passed, NOTHING)
        return {"memory": keys, "time": time}
