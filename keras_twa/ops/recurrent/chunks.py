"""Recurrences over a sequence, a chunk of steps at a time, in memory linear in length.

Within a chunk, a mechanism is a few matrix products. Each chunk passes a state to the
next one. The backward pass goes through the chunks in reverse and recomputes each from
its initial state, so that no intermediate result of a chunk is kept.
"""

import operator
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.nests import map_tensors
from keras_twa.ops.splitting import even_size
from keras_twa.ops.splitting import in_chunks

CHUNK = 128


def run_in_chunks(advance, state, steps, constants, parameters=(), chunk=None):
    """Runs a recurrence over a sequence.

    Args:
        advance: Function of a state, the steps of a chunk (`steps` and `constants` in
            one dictionary) and `parameters`, to the next state and the chunk's output
            `(rows, t, ...)`. It is hashable, and equal functions compute the same. A
            step that is not `real` must not change the state.
        state: List of float32 tensors.
        steps: Dictionary of float32 tensors `(rows, T, ...)`.
        constants: The same for tensors that get no gradient. One of them is "real",
            `(rows, T, 1)`: 1 for real steps, 0 for padding.
        parameters: Float32 tensors of any shape, which `advance` gets undivided.
        chunk: Number of steps in a chunk, at most T if T is known. Defaults to
            `chunk_for(T)`.

    Returns:
        The output `(rows, T, ...)`, and the state after the last step.
    """
    length = ops.shape(constants["real"])[1]
    known = isinstance(length, int)
    if chunk is None:
        chunk = chunk_for(length)
    if known and chunk == length:
        state, output = advance(list(state), {**steps, **constants}, *parameters)
        return output, list(state)
    tensors = {
        "state": list(state),
        "steps": {name: in_chunks(x, chunk) for name, x in steps.items()},
        "constants": {name: in_chunks(x, chunk) for name, x in constants.items()},
        "parameters": list(parameters),
    }
    found = backend.differentiable(_Passes(advance), tensors)
    output = ops.swapaxes(found["output"], 0, 1)
    output = ops.reshape(output, (ops.shape(output)[0], -1, *ops.shape(output)[3:]))
    return output[:, :length], list(found["state"])


def chunk_for(length, longest=None):
    """Number of steps in a chunk: all, or about equally many in each chunk.

    Args:
        length: Number of steps, an integer where it is known.
        longest: Largest number of steps in a chunk. Defaults to `CHUNK`.
    """
    longest = CHUNK if longest is None else longest
    return even_size(longest, max(length, 1)) if isinstance(length, int) else longest


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass; see `backend.differentiable`."""

    advance: Any

    def forward(self, tensors):
        """The last "state", the "output", and the states that chunks "start" with."""

        def advance(state, part, _):
            end, output = self.advance(state, part, *tensors["parameters"])
            return list(end), {"output": output, "start": state}

        parts = {**tensors["steps"], **tensors["constants"]}
        names = {"output": None, "start": tensors["state"]}
        end, found = backend.scan(advance, tensors["state"], parts, names)
        return {"state": end, **found}

    def backward(self, tensors, outputs, gradients, needed):
        """The gradients of the first state, the steps and the parameters."""
        parameters = tensors["parameters"]
        needed = {
            "state": map_tensors(lambda _: True, tensors["state"]),
            "steps": needed["steps"],
            "parameters": needed["parameters"],
        }

        def pull_chunk(sums, part, _):
            def advance(given):
                steps = {**given["steps"], **part["constants"]}
                end, output = self.advance(given["state"], steps, *given["parameters"])
                return {"state": list(end), "output": output}

            given = {
                "state": part["start"],
                "steps": part["steps"],
                "parameters": parameters,
            }
            _, pull = backend.pullback(advance, given, needed)
            pulled = pull({"state": sums["state"], "output": part["gradient"]})
            in_parameters = map_tensors(
                operator.add, sums["parameters"], pulled["parameters"]
            )
            sums = {"state": pulled["state"], "parameters": in_parameters}
            return sums, pulled["steps"]

        parts = {
            "steps": tensors["steps"],
            "constants": tensors["constants"],
            "start": outputs["start"],
            "gradient": gradients["output"],
        }
        sums, in_steps = backend.scan(
            pull_chunk,
            {
                "state": gradients["state"],
                "parameters": map_tensors(ops.zeros_like, parameters),
            },
            parts,
            tensors["steps"],
            reverse=True,
        )
        return {**sums, "steps": in_steps}
