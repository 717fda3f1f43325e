"""Recurrences over a sequence, a chunk of steps at a time, in memory linear in length.

Within a chunk a mechanism is a few products of matrices; from one chunk to the next it
hands on a state. The backward pass goes through the chunks in reverse and computes each
of them again from the state that it began with, so nothing is kept of what happens
inside.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.splitting import even_size
from keras_twa.ops.splitting import in_chunks

CHUNK = 128


def run_in_chunks(advance, state, steps, constants, parameters=(), chunk=None):
    """Runs a recurrence over a sequence.

    Args:
        advance: Function of a state, the steps of a chunk (`steps` and `constants` in
            one dictionary) and `parameters`, to the next state and the chunk's output
            `(rows, t, ...)`; hashable, and equal where it computes the same. A step
            that is not `real` must leave the state as it is.
        state: List of float32 tensors.
        steps: Dictionary of float32 tensors `(rows, T, ...)`.
        constants: The same for tensors that get no gradient. One of them is "real",
            `(rows, T, 1)`: 1 for real steps, 0 for padding.
        parameters: Float32 tensors of any shape that `advance` needs whole.
        chunk: Steps of a chunk, no more than there are if their number is known.
            Defaults to `chunk_for` their number.

    Returns:
        The output `(rows, T, ...)`, and the state after the last step.
    """
    named = {**steps, **constants}
    length = ops.shape(constants["real"])[1]
    known = isinstance(length, int)
    if chunk is None:
        chunk = chunk_for(length)
    if known and chunk == length:
        state, output = advance(list(state), named, *parameters)
        return output, list(state)
    passes = _Passes(advance, len(state), tuple(steps), tuple(constants))
    parts = [in_chunks(x, chunk) for x in named.values()]
    found = backend.differentiable(passes, [*state, *parts, *parameters])
    output = ops.swapaxes(found[-1], 0, 1)
    output = ops.reshape(output, (ops.shape(output)[0], -1, *ops.shape(output)[3:]))
    return output[:, :length], list(found[: len(state)])


def chunk_for(length, longest=None):
    """How many steps a chunk should have: all, or about as many in each.

    Args:
        length: Number of steps, an integer where it is known.
        longest: The most steps of a chunk. Defaults to `CHUNK`.
    """
    longest = CHUNK if longest is None else longest
    return even_size(longest, max(length, 1)) if isinstance(length, int) else longest


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass; see `backend.differentiable`."""

    advance: Any
    num_states: int
    step_names: tuple[str, ...]
    constant_names: tuple[str, ...]

    def forward(self, *tensors):
        state, parts, parameters = self._sorted(tensors)

        def advance(state, part, _):
            end, output = self.advance(state, part, *parameters)
            return list(end), [*state, output]

        end, found = backend.scan(advance, state, parts, self.num_states + 1)
        # With the states that the chunks began with, for the backward pass.
        return (*end, *found)

    def backward(self, tensors, outputs, gradients, needed):
        num_states, num_steps = self.num_states, len(self.step_names)
        _, parts, parameters = self._sorted(tensors)
        starts = outputs[num_states : 2 * num_states]
        named = {**parts, "gradient": gradients[-1]}
        named |= {f"start {i}": x for i, x in enumerate(starts)}
        first_parameter = num_states + num_steps + len(self.constant_names)
        needed = [
            *(True for _ in starts),
            *needed[num_states : num_states + num_steps],
            *needed[first_parameter:],
        ]

        def pull_chunk(sums, part, _):
            def advance(*leaves):
                state = list(leaves[:num_states])
                rest = leaves[num_states:]
                steps = dict(zip(self.step_names, rest[:num_steps], strict=True))
                constants = {name: part[name] for name in self.constant_names}
                chosen = {**steps, **constants}
                end, output = self.advance(state, chosen, *rest[num_steps:])
                return [*end, output]

            leaves = [
                *(part[f"start {i}"] for i in range(num_states)),
                *(part[name] for name in self.step_names),
                *parameters,
            ]
            _, pull = backend.pullback(advance, leaves, needed)
            pulled = list(pull([*sums[:num_states], part["gradient"]]))
            in_parameters = pulled[num_states + num_steps :]
            totals = zip(sums[num_states:], in_parameters, strict=True)
            sums = [*pulled[:num_states], *(total + x for total, x in totals)]
            return sums, pulled[num_states : num_states + num_steps]

        sums = [*gradients[:num_states], *(ops.zeros_like(x) for x in parameters)]
        backwards = {name: ops.flip(x, axis=0) for name, x in named.items()}
        sums, in_steps = backend.scan(pull_chunk, sums, backwards, num_steps)
        return [
            *sums[:num_states],
            *(ops.flip(x, axis=0) for x in in_steps),
            *(None for _ in self.constant_names),
            *sums[num_states:],
        ]

    def _sorted(self, tensors):
        tensors = list(tensors)
        names = (*self.step_names, *self.constant_names)
        first, last = self.num_states, self.num_states + len(names)
        parts = dict(zip(names, tensors[first:last], strict=True))
        return tensors[:first], parts, tensors[last:]
