"""Batches without rows and sequences without steps are valid."""

import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import SCORES
from keras_twa.testing.checks.streaming import part
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself

BATCH, QUERIES, KEYS = harness.BATCH, harness.QUERY_LENGTH, harness.KEY_LENGTH
# With empty chunks at the start, in the middle and at the end.
CUTS = ((0, 3, 0, QUERIES - 3, 0), None), ((3, 0, QUERIES - 3), QUERIES + 2)


def with_everything(call):
    """Return a causal call with masks of all kinds and with times."""
    (batch, queries), keys = call["query"].shape[:2], call["value"].shape[1]
    return {
        **call,
        "use_causal_mask": True,
        "query_mask": np.ones((batch, queries), bool),
        "value_mask": np.ones((batch, keys), bool),
        "attention_mask": np.ones((batch, queries, keys), bool),
        "query_positions": np.arange(queries, dtype="float32"),
        "key_positions": np.zeros((batch, keys), "float32") + np.arange(keys),
    }


def for_layer(case, call):
    """Return the call without arguments that the layer does not take."""
    left_out = set() if case.has_pairs else {"attention_mask"}
    if case.facts.causality == "never":
        left_out |= {"use_causal_mask"}
    if call["value"] is call["query"]:
        left_out |= {"key_positions"}
    return {name: x for name, x in call.items() if name not in left_out}


def empty_calls():
    """Return calls with an empty batch, no queries or no keys, by name."""
    plain = {
        "batch": itself(batch=0),
        "sequence": itself(length=0),
        "batch and sequence": itself(length=0, batch=0),
        "queries": cross(query_length=0),
        "keys": cross(key_length=0),
    }
    masked = {f"{name}, masked": with_everything(x) for name, x in plain.items()}
    return {**plain, **masked}


def empty_axes_are_answered(case):
    """Outputs, weights and gradients have their shapes, and gradients are zero."""
    layers = {}
    for name, call in empty_calls().items():
        call = for_layer(case, call)
        if not case.takes(call):
            continue
        kind = call["value"] is call["query"]
        if kind not in layers:
            layers[kind] = harness.built(case, itself() if kind else cross())
        layer = layers[kind]
        (batch, queries), keys = call["query"].shape[:2], call["value"].shape[1]
        scored = harness.run(layer, {**call, **(SCORES if case.has_pairs else {})})
        shape = layer.compute_output_shape(call["query"].shape)
        assert scored.output.shape == tuple(shape), f"{name}: {scored.output.shape}"
        assert_finite(scored.output, name)
        if case.has_pairs:
            heads = layer.projections()[0].heads
            got = scored.scores.shape
            assert got == (batch, heads, queries, keys), f"{name}: weights of {got}"
        if "masked" not in name:
            got = harness.run_with_gradients(layer, call, np.ones(shape, "float32"))
            for which, gradient in got.gradients().items():
                what = f"{name}: gradient to {which}"
                assert_finite(gradient, what)
                # Without keys, there still is an output, from biases.
                if 0 in (batch, queries):
                    assert not gradient.any(), f"{what} is not 0"


def no_keys_are_hidden_keys(case):
    """Without keys, queries give the same outputs as with all keys hidden."""
    for causal in (False, True):
        layer = harness.built(case, cross())
        hidden = cross(value_mask=np.zeros((BATCH, KEYS), bool), use_causal_mask=causal)
        nothing = cross(key_length=0, use_causal_mask=causal)
        want = harness.run(layer, hidden).output
        assert_close(harness.run(layer, nothing).output, want, "no keys", 1e-6)
        empty = nothing["value"]
        given = {"projected": layer.project(empty), "use_causal_mask": causal}
        got = harness.to_numpy(layer(nothing["query"], **given))
        assert_close(got, want, "no keys, projected", 1e-6)


def empty_chunks_leave_states(case):
    """Chunks without steps change neither the state nor later outputs."""
    call = itself(use_causal_mask=True)
    layer = harness.built(case, call)
    whole = harness.run(layer, call).output
    for cuts, room in CUTS:
        state = layer.initial_state(BATCH, max_length=room)
        outputs, first = [], 0
        for count in cuts:
            chunk = part(call, first, first + count)
            before = {name: ops.convert_to_numpy(x) for name, x in state.items()}
            output, state = layer(**chunk, initial_state=state, return_state=True)
            outputs.append(harness.to_numpy(output))
            if count == 0:
                after = {name: ops.convert_to_numpy(x) for name, x in state.items()}
                assert after.keys() == before.keys(), f"a state of {[*after]}"
                for name, x in after.items():
                    np.testing.assert_array_equal(x, before[name], err_msg=name)
            first += count
        got = np.concatenate(outputs, axis=1)
        assert_close(got, whole, f"parts of {cuts} with room for {room}", 1e-5)
    empty = layer.initial_state(0)
    output, state = layer.step(call["query"][:0, 0], empty)
    assert tuple(output.shape) == (0, *whole.shape[2:]), f"a step of {output.shape}"
    rows = {name: x.shape[0] for name, x in state.items() if name != "length"}
    assert not any(rows.values()), f"a state without rows has {rows}"
