"""Times relative to the last real step before a call.

Decaying memories and rotated keys depend on differences of times only. Relative to the
last step, times stay small, so float32 keeps their precision however long a stream has
been running.
"""

import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.masks import real_keys
from keras_twa.ops import rotate
from keras_twa.ops.packing import numbers
from keras_twa.ops.recurrent.subchunks import NOTHING
from keras_twa.ops.segments import segment_bounds
from keras_twa.ops.softmax.scores import earliest


@dataclass(frozen=True)
class Clock:
    """The times of the steps of a call.

    Args:
        times: Float32 `(B or 1, T)`, relative to the last real step before the call or,
            if there is none, to the first one of the call, or in packed rows of the
            segment. `None` for 0, 1, 2, ...
        origin: The time that `times` are relative to, float32 `(B,)`, or `None` without
            a state.
        before: The relative time of the last real step before the call, `(B,)`: 0, or
            `NOTHING` if there is none. `None` without a state.
    """

    times: Any
    origin: Any = None
    before: Any = None

    @classmethod
    def of(cls, call):
        """The clock of a call.

        Args:
            call: The `Call`. Its state, if any, holds the "time" of the last real step
                `(B,)`, which is `NOTHING` if there was none.
        """
        times, queries, keys = call.query_times, call.mask.queries, call.mask.keys
        if times is not None and queries is not None:
            # A step that is hidden as a query only still writes to the memory.
            times = ops.where(queries, times, call.key_times)
        run = call.mask.key_segments
        if run is not None:
            times = ops.broadcast_to(times, ops.shape(run))
            first, _ = segment_bounds(run)
            return cls(times - ops.take_along_axis(times, first, axis=1))
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
        """Rotates pairs of channels of `(B, T, H, D)` by the times of the steps."""
        steps = self.times
        if steps is None:
            steps = ops.arange(0, ops.shape(x)[1], dtype="int32")[None]
        return rotate(x, steps)

    def next_state(self, memory, last):
        """The state after the call, relative to its last real step.

        Args:
            memory: `(B, H, D, ...)`, computed from keys that `turn` rotated.
            last: The relative time of the last real step `(B,)`, or `NOTHING`.

        Returns:
            A dictionary of the "memory" and the "time".
        """
        if self.origin is None:
            return {}
        started = ops.greater(last, NOTHING / 2)
        passed = ops.where(started, last, 0.0)
        shape = ops.shape(memory)
        # `rotate` takes steps on its second axis: treat the remaining axes as steps.
        keys = ops.reshape(memory, (*shape[:3], math.prod(shape[3:])))
        keys = rotate(ops.transpose(keys, (0, 3, 1, 2)), -passed[:, None])
        keys = ops.reshape(ops.transpose(keys, (0, 2, 3, 1)), shape)
        time = ops.where(started, self.origin + passed, NOTHING)
        return {"memory": keys, "time": time}
