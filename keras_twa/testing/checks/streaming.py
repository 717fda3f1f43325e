"""A sequence in chunks, or step by step, gives the same outputs as one call."""

import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.checks.bad_input import assert_refused
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import random_mask
from keras_twa.testing.scenarios import timestamps

LENGTH = harness.QUERY_LENGTH
# The number of steps of the first of two parts.
FIRST = 3
# The lengths of the parts, and the number of steps that a cache has room for.
CUTS = (((1,) * LENGTH, None), ((3, 4), None), ((1, 5, 1), LENGTH + 2))


def calls():
    """Return causal calls with every kind of padding, and with times."""
    left, right = ~lengths_mask([2, 0], LENGTH), lengths_mask([7, 4], LENGTH)
    holes = random_mask(harness.BATCH, LENGTH, seed=3)
    times = {"query_positions": timestamps(harness.BATCH, LENGTH)}
    causal = {"use_causal_mask": True}
    return {
        "whole rows": itself(**causal),
        "left padding": itself(**causal, query_mask=left, value_mask=left),
        "holes": itself(**causal, query_mask=holes, value_mask=holes),
        "right padding, times": itself(
            **causal, **times, query_mask=right, value_mask=right
        ),
    }


def part(call, first, end):
    """Return the steps `first ... end - 1` of a call."""
    cut = {
        name: x[:, first:end] if isinstance(x, np.ndarray) else x
        for name, x in call.items()
        if name != "value"
    }
    return cut


def in_parts(layer, call, cuts, state):
    """Return the outputs of a call cut into parts, joined."""
    outputs, first = [], 0
    for count in cuts:
        chunk = part(call, first, first + count)
        output, state = layer(**chunk, initial_state=state, return_state=True)
        outputs.append(harness.to_numpy(output))
        # Through NumPy, to show that a state is nothing but its tensors.
        state = {name: ops.convert_to_numpy(x) for name, x in state.items()}
        first += count
    return np.concatenate(outputs, axis=1), state


def parts_equal_one_call(case, tolerance=1e-5):
    """Chunks of any lengths give the same outputs as one call, with any padding."""
    for name, call in calls().items():
        layer = harness.built(case, call)
        whole = harness.run(layer, call).output
        for cuts, room in CUTS:
            state = layer.initial_state(harness.BATCH, max_length=room)
            got, _ = in_parts(layer, call, cuts, state)
            what = f"{name} in parts of {cuts} with room for {room}"
            assert_close(got, whole, what, tolerance)


def steps_equal_one_call(case, tolerance=1e-5):
    """`step` gives the same outputs as one call, with padding and times."""
    mask = ~lengths_mask([2, 0], LENGTH)
    times = timestamps(harness.BATCH, LENGTH)
    call = itself(
        use_causal_mask=True, query_mask=mask, value_mask=mask, query_positions=times
    )
    layer = harness.built(case, call)
    whole = harness.run(layer, call).output
    state = layer.initial_state(harness.BATCH)
    for i in range(LENGTH):
        token = call["query"][:, i]
        output, state = layer.step(token, state, mask[:, i], times[:, i])
        output = harness.to_numpy(output)
        assert_close(output, whole[:, i], f"output of step {i}", tolerance)


def states_carry_gradients(case):
    """Two parts, with a state between them, have the gradient of the whole."""
    call = itself(use_causal_mask=True)
    layer, parts = whole_and_in_parts(case, call)
    cotangent = np.ones(harness.run(layer, call).output.shape, "float32")
    cotangent[:, ::2] = -0.5
    # In parts, the whole gradient must arrive at `query`.
    want = harness.run_with_gradients(layer, call, cotangent)
    got = harness.run_with_gradients(parts, call, cotangent)
    inputs = sum(want.inputs.values())
    assert_close(got.output, want.output, "output in two parts", 1e-5)
    assert_close(got.inputs["query"], inputs, "gradient to the inputs")
    for name, gradient in want.weights.items():
        assert_close(got.weights[name], gradient, f"gradient to weight {name}")


def states_stop_gradients(case):
    """The gradient of later steps ends at the state, but reaches all weights.

    The gradient of the weights equals that of one call, as a state holds only inputs,
    which are projected again.
    """
    call = itself(use_causal_mask=True)
    layer, parts = whole_and_in_parts(case, call)
    cotangent = np.ones(harness.run(layer, call).output.shape, "float32")
    cotangent[:, ::2] = -0.5
    cotangent[:, :FIRST] = 0.0
    want = harness.run_with_gradients(layer, call, cotangent)
    got = harness.run_with_gradients(parts, call, cotangent)
    inputs = sum(want.inputs.values())[:, FIRST:]
    assert_close(got.output, want.output, "output in two parts", 1e-5)
    assert not got.inputs["query"][:, :FIRST].any(), "a gradient through the state"
    assert_close(got.inputs["query"][:, FIRST:], inputs, "gradient to the inputs")
    for name, gradient in want.weights.items():
        assert_close(got.weights[name], gradient, f"gradient to weight {name}")


def whole_and_in_parts(case, call):
    """Return a built layer, and one like it that splits a call into two parts."""
    layer = harness.built(case, call)

    class InParts(type(layer)):
        """The same layer, called in two parts."""

        def call(self, query, value=None, **options):
            """Call it twice."""
            del value
            first, rest = query[:, :FIRST], query[:, FIRST:]
            first, state = super().call(first, return_state=True, **options)
            rest = super().call(rest, initial_state=state, **options)
            return ops.concatenate([first, rest], axis=1)

        def compute_output_spec(self, query, value=None, **options):
            """Return the spec of one call."""
            del value
            return super().compute_output_spec(query, **options)

    parts = harness.built(case.with_layer(InParts), call)
    harness.copy_weights(layer, parts)
    return layer, parts


def states_have_the_stated_shapes(case):
    """`compute_output_spec` states the shapes of states, and of attention weights."""
    call = itself(use_causal_mask=True)
    layer = harness.built(case, call)
    query = call["query"]
    for room in (None, 20):
        state = layer.initial_state(harness.BATCH, max_length=room)
        options = {"use_causal_mask": True, "return_state": True}
        _, eager = layer(query, initial_state=state, **options)
        _, spec = layer.compute_output_spec(query, initial_state=state, **options)
        shapes = {name: tuple(x.shape) for name, x in eager.items()}
        stated = {name: tuple(x.shape) for name, x in spec.items()}
        assert stated == shapes, f"stated {stated}, returned {shapes}"
        if not case.layer.pairwise_mask:
            continue
        options["return_attention_scores"] = True
        for given in ({"initial_state": state}, {"return_state": True}):
            given = {**options, "return_state": False, **given}
            weights = layer(query, **given)[1]
            stated = layer.compute_output_spec(query, **given)[1]
            assert tuple(stated.shape) == tuple(weights.shape), f"weights {stated}"


def refuses_states(case):
    """A layer that needs the whole sequence has no states."""
    call, layer = itself(use_causal_mask=True), harness.built(case, itself())
    given = {"initial_state": {"any": np.zeros((harness.BATCH, 1), "float32")}}
    token = call["query"][:, 0]
    for name, action in {
        "initial_state": lambda: layer.initial_state(harness.BATCH),
        "step": lambda: layer.step(token, given["initial_state"]),
        "a call with a state": lambda: layer(**call, **given),
        "a call for a state": lambda: layer(**call, return_state=True),
        "the shapes of a state": lambda: layer.compute_output_spec(
            **call, return_state=True
        ),
    }.items():
        assert_refused(action, name)


def bad_streams(layer):
    """Return calls with a state that must be refused, by name."""
    call = itself(use_causal_mask=True)
    state = layer.initial_state(harness.BATCH)
    name = next(iter(state))
    less = {k: x for k, x in state.items() if k != name}
    other = np.zeros((harness.BATCH, 1, 1, 1, 1), "float32")
    given = {"initial_state": state}
    pairs = np.ones((harness.BATCH, LENGTH, LENGTH), bool)
    found = {
        "state of another batch": {
            **call,
            "initial_state": layer.initial_state(harness.BATCH + 1),
        },
        "state without a tensor": {**call, "initial_state": less},
        "state with another shape": {**call, "initial_state": {**state, name: other}},
        "state that is none": {**call, "initial_state": "none"},
        "state, not causal": {**itself(), **given},
        "pairs with a state": {**call, **given, "attention_mask": pairs},
        "state, of another sequence": {**cross(use_causal_mask=True), **given},
    }
    if layer.causality == "always":
        del found["state, not causal"]
    return found


def refuses_bad_streams(case):
    """A state that does not fit raises, and the message shows it."""
    layer = harness.built(case, itself())
    for name, call in bad_streams(layer).items():
        assert_refused(lambda call=call: layer(**call), name)
        symbolic = f"{name}, of which only shapes are known"
        assert_refused(lambda call=call: layer.compute_output_spec(**call), symbolic)
    state = layer.initial_state(harness.BATCH, max_length=LENGTH - 1)
    if "length" in state and "time" in state and case.has_pairs:
        full = itself(use_causal_mask=True, initial_state=state)
        assert_refused(lambda: layer(**full), "a full state")
