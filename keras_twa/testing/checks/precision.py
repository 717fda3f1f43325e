"""Half precision stays close to float32, and times keep their precision."""

import keras
import numpy as np
from keras import ops

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import SCORES
from keras_twa.testing.harness import assert_finite
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal


def half_precision_is_close(case, dtype):
    """A mixed policy gives half precision close to float32, with finite gradients."""
    tolerance = {"mixed_float16": 1e-2, "mixed_bfloat16": 6e-2}[dtype]
    call = everything_for(case)
    asked = {**call, **(SCORES if case.has_pairs else {})}
    exact = harness.built(case, call)
    layer = harness.built(case, call, dtype=dtype)
    harness.copy_weights(exact, layer)
    expected = harness.run(exact, asked)
    output, scores = layer(**asked) if case.has_pairs else (layer(**asked), None)
    half = keras.DTypePolicy(dtype).compute_dtype
    found = keras.backend.standardize_dtype(output.dtype)
    assert found == half, f"an output of {found}"
    for variable in layer.variables:
        assert variable.dtype != half, f"{variable.path} is kept in {half}"
    assert_half_close(harness.to_numpy(output), expected.output, "output", tolerance)
    if case.has_pairs:
        scores = harness.to_numpy(scores)
        assert_half_close(scores, expected.scores, "scores", tolerance)
    output = harness.run(layer, call).output
    assert_half_close(output, expected.output, "output without scores", tolerance)
    cotangent = normal(*output.shape, seed=60)
    expected = harness.run_with_gradients(exact, call, cotangent).gradients()
    got = harness.run_with_gradients(layer, call, cotangent).gradients()
    # A gradient whose parts cancel still has their rounding errors.
    least = 0.1 * max(np.abs(want).max() for want in expected.values())
    for name, gradient in got.items():
        what = f"gradient to {name}"
        assert_half_close(gradient, expected[name], what, 5 * tolerance, least)


def assert_half_close(actual, expected, what, tolerance, least=1e-2):
    """Assert that the error is small relative to the largest entry."""
    assert_finite(actual, what)
    error = np.abs(actual - expected).max()
    size = max(np.abs(expected).max(), least)
    assert error <= tolerance * size, f"{what} is off by {error} of {size}"


def half_precision_does_not_overflow(case):
    """Large inputs stay finite in float16: no logit is computed in half precision."""
    call = itself()
    layer = harness.built(case, call, dtype="mixed_float16")
    names = harness.weight_names(layer)
    for name in {"query/kernel", "key/kernel"} & set(names):
        variable = names[name]
        variable.assign(ops.multiply(variable.value, 200.0))
    output = harness.run(layer, call).output
    assert_finite(output, "output")
    got = harness.run_with_gradients(layer, call, normal(*output.shape, seed=61))
    for name, gradient in got.inputs.items():
        assert not np.isnan(gradient).any(), f"gradient to {name} is NaN"


def timestamps_keep_their_precision(case):
    """Times near a million, under a bfloat16 policy, still distinguish neighbours."""
    steps = np.cumsum([3, 50, 9, 40, 30, 70, 20]).astype("float32")
    positions = {"query_positions": 1e6 + steps, "key_positions": 1e6 + steps}
    call = itself(**positions)
    options = {}
    if "time_scale" in case.options:
        options["time_scale"] = 100.0
    exact = harness.built(case, call, **options)
    names = harness.weight_names(exact)
    if "temporal_function/slope" in names:
        on_keys = case.options.get("applies_to", "key") == "key"
        names["temporal_function/slope"].assign([3.0, -2.0])
        names["temporal_function/offset"].assign(
            [-3.0e4, 2.0e4] if on_keys else [0.0, 0.0]
        )
    if "key_slope/kernel" in names and on_keys:
        # The offset above makes up for the origin of the times with one slope only.
        slopes = names["key_slope/kernel"]
        slopes.assign(ops.zeros(slopes.shape))
    if "timescales/discount_logits" in names:
        logits = names["timescales/discount_logits"]
        logits.assign(ops.full(logits.shape, 4.0))
    layer = harness.built(case, call, dtype="mixed_bfloat16", **options)
    harness.copy_weights(exact, layer)
    want = harness.run(exact, {**call, **SCORES})
    got = harness.run(layer, {**call, **SCORES})
    assert_half_close(got.scores, want.scores, "scores at large times", 6e-2)
    rounded = {name: x - 1e6 for name, x in positions.items()}
    if "temporal_function/slope" in names and on_keys:
        names["temporal_function/offset"].assign([0.0, 0.0])
    call = {**call, **rounded, **options}
    output, scores = case.reference(harness.weights_of(exact), call)
    # Float32 resolves 1/16 at a million: no more than that may be lost.
    assert_half_close(want.scores, scores, "float32 scores at large times", 2e-2)
    assert_half_close(want.output, output, "float32 output at large times", 2e-2)
