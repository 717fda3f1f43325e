"""A sequence that is projected once gives the same outputs as in an ordinary call."""

import keras
import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.checks.bad_input import assert_refused
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal

# The arguments that `project` takes instead of the call.
OF_SOURCE = ("value", "key", "value_mask", "key_mask", "key_positions")


def apart(layer, call):
    """Return the call with `projected` in place of value and key."""
    source = {name: call[name] for name in OF_SOURCE if name in call}
    rest = {name: x for name, x in call.items() if name not in source}
    return {**rest, "projected": layer.project(**source)}


def projected_equals_one_call(case, tolerance=1e-6):
    """`projected` gives the values and gradients of the ordinary call."""
    calls = {
        "cross": cross(),
        "masks": cross(
            value_mask=lengths_mask([5, 3], harness.KEY_LENGTH),
            key_mask=~lengths_mask([1, 0], harness.KEY_LENGTH),
        ),
        "everything": everything_for(case),
        "its own sequence": itself(use_causal_mask=True),
    }
    for name, call in calls.items():
        layer = harness.built(case, call)
        whole = harness.run(layer, call).output
        for attempt in ("first", "second"):
            got = harness.run(layer, apart(layer, call)).output
            assert_close(got, whole, f"{attempt} output, {name}", tolerance)
    if case.has_pairs:
        hidden_pairs_are_inert(case)
    call = calls["everything"]
    layer = harness.built(case, call)

    class Apart(type(layer)):
        """The same layer, which projects first and then attends."""

        def call(
            self,
            query,
            value,
            key=None,
            value_mask=None,
            key_positions=None,
            query_mask=None,
            attention_mask=None,
            use_causal_mask=False,
            query_positions=None,
        ):
            """Call it."""
            given = {"key": key, "value_mask": value_mask}
            projected = self.project(value, key_positions=key_positions, **given)
            return super().call(
                query,
                query_mask=query_mask,
                attention_mask=attention_mask,
                use_causal_mask=use_causal_mask,
                query_positions=query_positions,
                projected=projected,
            )

    both = harness.built(case.with_layer(Apart), call)
    harness.copy_weights(layer, both)
    cotangent = normal(*whole.shape, seed=8)
    want = harness.run_with_gradients(layer, call, cotangent).gradients()
    got = harness.run_with_gradients(both, call, cotangent).gradients()
    for name, gradient in want.items():
        assert_close(got[name], gradient, f"gradient to {name}", 1e-5)


def hidden_pairs_are_inert(case):
    """NaN in a key that only `attention_mask` hides does not reach the output."""
    call = cross(
        attention_mask=np.ones((1, harness.QUERY_LENGTH, harness.KEY_LENGTH), bool)
    )
    call["attention_mask"][..., -2] = False
    call["value"][:, -2] = np.nan
    layer = harness.built(case, call)
    whole = harness.run(layer, call).output
    harness.assert_finite(whole, "output with a hidden key")
    got = harness.run(layer, apart(layer, call)).output
    assert_close(got, whole, "output with a hidden key", 1e-6)


def projected_has_the_stated_shapes(case):
    """`projected_spec` and symbolic calls state the shapes and dtypes."""
    call = everything_for(case)
    layer = harness.built(case, call, dtype="mixed_bfloat16")
    found = apart(layer, call)
    spec = layer.projected_spec(*call["value"].shape[:2], masked=True, timed=True)
    for name, tensor in found["projected"].items():
        stated = spec.pop(name)
        assert tuple(stated.shape) == tuple(tensor.shape), name
        assert stated.dtype == keras.backend.standardize_dtype(tensor.dtype), name
    assert not spec, f"there is no {[*spec]}"
    symbolic = layer.compute_output_spec(**found)
    shapes = [tuple(x.shape) for x in (symbolic, layer(**found))]
    assert shapes[0] == shapes[1], f"compute_output_spec says {shapes}"


def refuses_bad_projected(case):
    """A `projected` that does not fit, or repeats other arguments, is refused."""
    layer = harness.built(case, cross())
    call = apart(layer, cross())
    given = call["projected"]
    name = next(iter(given))
    batch = harness.BATCH
    bad = {
        "none": "none",
        "a tensor short": {k: x for k, x in given.items() if k != name},
        "a tensor too many": {**given, "other": given[name]},
        "another shape": {**given, name: np.zeros((batch, 5, 7, 7), "float32")},
        "another batch": {k: x[:1] for k, x in given.items()},
        "times of another length": {**given, "time": np.zeros((batch, 4))},
    }
    beside = {name: cross(key=cross()["value"])[name] for name in ("value", "key")}
    mask = np.ones((batch, harness.KEY_LENGTH), bool)
    beside |= {"value_mask": mask, "key_mask": mask}
    beside |= {"key_positions": np.arange(harness.KEY_LENGTH, dtype="float32")}
    calls = {name: {**call, "projected": x} for name, x in bad.items()}
    calls |= {f"{name} beside it": {**call, name: x} for name, x in beside.items()}
    calls["a state"] = {**call, "use_causal_mask": True, "return_state": True}
    for name, call in calls.items():
        assert_refused(lambda call=call: layer(**call), name)
        symbolic = f"{name}, of which only shapes are known"
        assert_refused(lambda call=call: layer.compute_output_spec(**call), symbolic)
    assert_refused(lambda: case.make().project(cross()["value"]), "before it is built")
    wrong = lengths_mask([4, 4], harness.KEY_LENGTH + 1)
    value = cross()["value"]
    assert_refused(lambda: layer.project(value, value_mask=wrong), "a longer mask")


def refuses_projected(case):
    """A layer for self-attention only refuses `project` and `projected`."""
    layer = harness.built(case, itself())
    x = itself()["query"]
    assert_refused(lambda: layer.project(x), "to project")
    assert_refused(lambda: layer(x, projected={"key": x}), "what was projected")
