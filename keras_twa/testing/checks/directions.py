"""A layer that runs backward mirrors one that runs forward."""

import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.checks.bad_input import assert_refused
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import random_mask
from keras_twa.testing.scenarios import timestamps

LENGTH = harness.QUERY_LENGTH


def calls():
    """Return calls of self-attention with every kind of padding, and with times."""
    found = {"whole rows": {}}
    masks = {
        "padding behind": lengths_mask([7, 4], LENGTH),
        "padding in front": ~lengths_mask([2, 0], LENGTH),
        "padding between": random_mask(harness.BATCH, LENGTH, seed=3),
    }
    for name, mask in masks.items():
        found[name] = {"query_mask": mask, "value_mask": mask}
    times = {"query_positions": timestamps(harness.BATCH, LENGTH)}
    found["times, padding between"] = {**found["padding between"], **times}
    return {name: with_poison(itself(**options)) for name, options in found.items()}


def with_poison(call):
    """Return a call with NaN in its padding."""
    if "query_mask" not in call:
        return call
    x = np.where(call["query_mask"][..., None], call["query"], np.nan)
    return {**call, "query": x.astype("float32"), "value": x.astype("float32")}


def reversed_input_gives_reversed_output(case):
    """Each half of the heads equals the forward layer, on its order of the steps."""
    layer = harness.built(case, itself())
    forward = harness.built(case, itself(), direction="forward")
    harness.copy_weights(layer, forward)
    kernel = harness.weights_of(layer)["attention_output/kernel"]
    first = np.arange(len(kernel)) < len(kernel) // 2
    # The heads that run in either direction.
    runs = {"backward": np.ones(len(kernel), bool)}
    if layer.direction == "both":
        runs = {"forward": first, "backward": ~first}
    for name, call in calls().items():
        for direction, heads in runs.items():
            for each in (layer, forward):
                kept = kernel * heads[:, None, None]
                harness.weight_names(each)["attention_output/kernel"].assign(kept)
            got = harness.run(layer, one_sequence(call)).output
            assert_finite(got, f"output with {name}")
            given = call if direction == "forward" else in_reverse(call)
            given = {**one_sequence(given), "use_causal_mask": True}
            want = harness.run(forward, given).output
            want = want if direction == "forward" else want[:, ::-1]
            assert_close(got, want, f"heads that run {direction}, {name}", 1e-5)


def one_sequence(call):
    """Return a call whose value is the query, and whose masks are one array."""
    call = {**call, "value": call["query"]}
    if "query_mask" in call:
        call["value_mask"] = call["query_mask"]
    return call


def in_reverse(call):
    """Return a call with its steps in reverse order, and mirrored times."""
    found = {name: x[:, ::-1].copy() for name, x in call.items()}
    if "query_positions" in found:
        found["query_positions"] = -found["query_positions"]
    return found


def refuses_causal_calls(case):
    """A layer that sees later steps refuses a causal mask, and has no states."""
    layer = harness.built(case, itself())
    call = itself(use_causal_mask=True)
    state = {"memory": np.zeros((harness.BATCH, 1), "float32")}
    for name, action in {
        "a causal mask": lambda: layer(**call),
        "a symbolic causal mask": lambda: layer.compute_output_spec(**call),
        "the state of no steps": lambda: layer.initial_state(harness.BATCH),
        "a call for a state": lambda: layer(**itself(), return_state=True),
        "a call with a state": lambda: layer(**itself(), initial_state=state),
        "a step": lambda: layer.step(ops.ones((2, harness.QUERY_WIDTH)), state),
    }.items():
        assert_refused(action, name)
