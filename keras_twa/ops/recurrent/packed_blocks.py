"""Block-recurrent attention in packed rows, whose segments have their own blocks.

Chunks have as many steps as a block, but a block may begin in one chunk and end in the
next. At most one block ends in a chunk: those of the same segment end that far apart,
and the first one of a later segment ends even later.
"""

from dataclasses import dataclass

from keras import ops

from keras_twa.ops.gather import steps_at
from keras_twa.ops.recurrent.state_vectors import HIDDEN
from keras_twa.ops.recurrent.state_vectors import attend
from keras_twa.ops.recurrent.state_vectors import gated
from keras_twa.ops.recurrent.state_vectors import read
from keras_twa.ops.segments import numbers_within


def constants(run, filled, block_size):
    """What a chunk must know of its steps: float32 tensors `(B, T, 1)`.

    Args:
        run: The number of each step's segment, integer `(B, T)`.
        filled: Float32 `(B, T)`, 1 for real steps, which come first.
        block_size: Number of steps in a block.

    Returns:
        A dictionary: the segment, "run"; whether the step is in the "first" block of
        its segment; and whether it "completes" a block.
    """
    run = ops.where(ops.greater(filled, 0.0), run + 1, 0)
    number = numbers_within(run)
    ends = ops.equal(number % block_size, block_size - 1)
    found = {
        "run": run,
        "first": ops.less(number, block_size),
        "completes": ops.logical_and(ends, ops.greater(run, 0)),
    }
    return {name: ops.cast(x, "float32")[:, :, None] for name, x in found.items()}


@dataclass(frozen=True)
class Advance:
    """One chunk; see `run_in_chunks`.

    Its state: the state vectors after the last complete block of any segment
    `(B, N, M)`; and the keys, the values and the segments `(B, t, 1)` of the previous
    chunk.

    Args:
        names: Names of the parameters.
        gate: "fixed" or "lstm".
        slots: Number of steps in a chunk.
    """

    names: tuple[str, ...]
    gate: str
    slots: int

    def __call__(self, state, steps, *parameters):
        states, key_before, value_before, run_before = state
        weights = dict(zip(self.names, parameters, strict=True))
        keys = ops.concatenate([key_before, steps["key"]], axis=1)
        values = ops.concatenate([value_before, steps["value"]], axis=1)
        run = steps["run"]
        runs = ops.concatenate([run_before, run], axis=1)
        other = ops.not_equal(run, ops.swapaxes(runs, 1, 2))
        hidden = ops.where(other, HIDDEN, 0.0)[:, None]
        near = attend(steps["query"], keys, values, weights["lag_bias"] + hidden)

        # The block that ends in this chunk, if any; it may begin in the previous one.
        completes, first = steps["completes"], steps["first"]
        end = ops.cast(ops.argmax(completes[:, :, 0], axis=1), "int32")
        block = end[:, None] + ops.arange(1, self.slots + 1, dtype="int32")
        begin = ops.broadcast_to(weights["initial"][None], ops.shape(states))
        before = ops.where(_any(completes * first), begin, states)
        of_before = read(before, weights)
        found = [
            attend(of_before["query"], of_before["key"], of_before["value"]),
            attend(
                of_before["step_query"],
                steps_at(keys, block),
                steps_at(values, block),
            ),
        ]
        after = gated(before, ops.concatenate(found, axis=-1), weights, self.gate)
        after = ops.where(_any(completes), after, states)

        def recall(vectors):
            of_states = read(vectors, weights)
            return attend(steps["state_query"], of_states["key"], of_states["value"])

        # A step sees the state vectors after the last complete block of its segment.
        behind = ops.cumsum(completes, axis=1) - completes
        behind, first = (ops.greater(x[..., None], 0.0) for x in (behind, first))
        recalled = ops.where(behind, recall(after), recall(states))
        recalled = ops.where(first, recall(begin), recalled)
        output = ops.concatenate([near, recalled], axis=-1)
        return [after, steps["key"], steps["value"], run], output


def _any(flags):
    """Whether any step of each row has a flag, `(B, 1, 1)`."""
    return ops.greater(ops.max(flags, axis=1, keepdims=True), 0.0)
