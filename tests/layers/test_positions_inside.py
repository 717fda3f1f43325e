"""Positions inside attention: their formulas, the layers that take them, routes."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa import ops as kernels
from keras_twa.layers import positions
from keras_twa.layers.positions import alibi
from keras_twa.ops.softmax import fused
from keras_twa.testing import checks
from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import timestamps
from tests.contract.cases import PLAIN
from tests.contract.marks import on
from tests.contract.position_cases import KINDS
from tests.contract.position_cases import MECHANISMS
from tests.contract.position_cases import OTHERS
from tests.references import positions as loops

BIASES = ("alibi", "t5", "shaw")
NAMES = tuple(positions.INSIDE_ATTENTION)


def made(name, **options):
    """Return a built layer of positions with random weights, for 3 heads of width 4."""
    layer = positions.get(name, **options)
    layer.build((None, None, 3, 4))
    harness.randomise(layer)
    return layer


def some(*ids):
    """Return the cases of these names."""
    return [case for case in (*KINDS, *OTHERS, *MECHANISMS) if case.id in ids]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_wavelength": 50, "scaling_factor": 4.0},
        {"max_wavelength": 100, "scaling_factor": 8.0, "original_length": 200},
    ],
)
@pytest.mark.parametrize("width", [1, 9])
def test_rotation_equals_its_formula(options, width):
    x, times = normal(2, 7, 3, width), timestamps(2, 7)
    layer = layers.RotaryPositions(**options)
    want = loops.turned(x.astype("float64"), times, ("rotary", options))
    assert_close(to_numpy(layer(x, times)), want, "at real times", 1e-5)
    steps = np.broadcast_to(np.arange(7.0), (2, 7))
    want = loops.turned(x.astype("float64"), steps, ("rotary", options))
    assert_close(to_numpy(layer(x)), want, "at steps", 1e-5)
    assert_close(to_numpy(layer(x, steps[0])), want, "at steps as given", 1e-5)


def test_fast_channels_keep_their_rate_and_slow_ones_do_not():
    rates = kernels.rotary_rates(32)
    longer = kernels.rotary_rates(32, factor=4.0, original_length=512)
    assert_close(longer[0] / rates[0], 1.0, "the fastest", 1e-6)
    assert_close(longer[-1] / rates[-1], 0.25, "the slowest", 1e-6)
    assert (np.diff(longer / rates) <= 1e-6).all()


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_angles_are_float32_in_half_precision(dtype):
    x, times = np.ones((1, 4096, 1, 8), "float32"), np.arange(4096.0)
    half = keras.DTypePolicy(dtype).compute_dtype
    output = layers.RotaryPositions(dtype=dtype)(keras.ops.cast(x, half), times)
    assert keras.backend.standardize_dtype(output.dtype) == half
    want = to_numpy(layers.RotaryPositions()(x, times))
    assert np.abs(to_numpy(output) - want).max() < 1e-2


@pytest.mark.parametrize("name", BIASES)
@pytest.mark.parametrize("given", [False, True])
def test_bias_equals_its_loop(name, given):
    layer = made(name)
    query, key = normal(2, 150, 3, 4), normal(2, 9, 3, 4)
    times = (np.broadcast_to(np.arange(n, dtype="float32"), (2, n)) for n in (150, 9))
    if given:
        times = timestamps(2, 150), 70 * timestamps(2, 9, seed=4)
    query_times, key_times = times
    call = {"query_positions": query_times, "key_positions": key_times}
    bias = to_numpy(layer(query, key, **(call if given else {})))
    weights = {f"positions/{k}": x for k, x in harness.weights_of(layer).items()}
    loop = loops.bias_of(weights, name, query, (query_times, key_times))
    want = [loop(*index) for index in np.ndindex(2, 3, 150, 9)]
    bias = np.broadcast_to(bias, (2, 3, 150, 9))
    assert_close(bias, np.reshape(want, (2, 3, 150, 9)), "bias", 1e-4)


@pytest.mark.parametrize("name", BIASES)
def test_bias_of_a_sequence_with_itself(name):
    layer, x, times = made(name), normal(2, 7, 3, 4), timestamps(7)
    want = to_numpy(layer(x, x, query_positions=times, key_positions=times))
    assert_close(to_numpy(layer(x, query_positions=times)), want, "bias", 1e-6)
    spec = layer(keras.KerasTensor((None, 7, 3, 4)))
    assert spec.shape == (None, 3, 7, 7) and spec.dtype == "float32"


@pytest.mark.parametrize("heads", range(1, 20))
def test_slopes_are_those_of_the_paper(heads):
    assert_close(alibi.slopes(heads), loops.alibi_slopes(heads), "slopes", 1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bidirectional": False},
        {"num_buckets": 4, "max_distance": 2},
        {"num_buckets": 2, "max_distance": 2, "bidirectional": False},
        {"num_buckets": 20, "max_distance": 77},
    ],
)
def test_buckets_are_those_of_t5(options):
    layer = layers.T5Positions(**options)
    layer.build((None, None, 1, 1))
    count = layer.num_buckets
    layer.embeddings.assign(np.arange(count, dtype="float32")[:, None])
    ahead = np.concatenate([np.arange(-300.0, 300), 20 * normal(100, seed=1)])
    x = np.zeros((1, len(ahead), 1, 1), "float32")
    bias = layer(x[:, :1], x, query_positions=np.zeros(1), key_positions=ahead)
    want = [loops.t5_bucket(lag, **options) for lag in ahead.astype("float32")]
    np.testing.assert_array_equal(to_numpy(bias)[0, 0, 0], want)


@pytest.mark.parametrize("name", NAMES)
def test_only_lags_matter(name):
    call = itself(query_positions=timestamps(harness.QUERY_LENGTH))
    layer = layers.DotProductAttention(2, 4, positions=name)
    layer(**call)
    harness.randomise(layer)
    want = harness.run(layer, call).output
    later = {**call, "query_positions": call["query_positions"] + 64.0}
    assert_close(harness.run(layer, later).output, want, "later", 1e-4)
    slower = {**call, "query_positions": call["query_positions"] * 4.0}
    assert np.abs(harness.run(layer, slower).output - want).max() > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_causal_alibi_is_a_bias_on_the_keys(dtype, monkeypatch):
    call = itself(33, use_causal_mask=True)
    options = {"num_heads": 2, "key_dim": 4, "dtype": dtype}
    layer = layers.get("dot_product", positions="alibi", **options)
    layer(**call)
    harness.randomise(layer)
    tolerance = 1e-5 if dtype == "float32" else 3e-2
    biases = []
    attend = fused.route
    monkeypatch.setattr(
        fused, "route", lambda *a, **k: biases.append(a[4]) or attend(*a, **k)
    )
    folded = harness.run(layer, call).output
    assert biases[0] is not None and biases[0].shape[2] == 2
    # The same as the default positions, but the layer cannot know that.
    times = np.arange(33.0)
    tiled = harness.run(layer, {**call, "query_positions": times}).output
    assert_close(folded, tiled, "folded", tolerance)
    monkeypatch.setattr(alibi, "MOST_BIAS", 1.0)
    steep = harness.run(layer, call).output
    assert_close(folded, steep, "where it would lose digits", tolerance)
    assert [bias is None for bias in biases] == [False, True, True]


@on(PLAIN)
@pytest.mark.parametrize("name", NAMES)
def test_positions_are_taken_where_they_are_defined(case, name):
    defined = case.layer.rotary if name == "rotary" else case.layer.position_bias
    if defined:
        assert (
            type(case.make(positions=name).positions)
            is positions.INSIDE_ATTENTION[name]
        )
        return
    with pytest.raises(
        ValueError, match=f"Use .*Received: positions='{name}'"
    ) as found:
        case.make(positions=name)
    advice, _, _ = str(found.value).partition("Received:")
    assert ("'rotary'" in advice) == case.layer.rotary


@on(MECHANISMS)
def test_equals_reference_and_so_do_gradients(case):
    checks.gradients_equal_reference(case)


@on(some("dot_product-alibi", "dot_product-t5", "sparse-rotary", "performer-rotary"))
def test_goes_on_with_a_state(case):
    checks.parts_equal_one_call(case)


# Mechanisms whose states hold no times but count the steps.
@on(some("local-global-rotary", "performer-rotary"))
def test_a_state_that_counts_steps(case):
    checks.steps_equal_one_call(case)
    checks.states_have_the_stated_shapes(case)


@on(some("dot_product-alibi", "dot_product-t5", "performer-rotary"))
def test_fits_at_unknown_length(case):
    checks.fits_at_unknown_length(case, causal=True)


@on(some("dot_product-t5"))
def test_dropout_has_its_own_gradient(case):
    checks.dropout_has_its_own_gradient(case)


@on(some("dot_product-rotary", "dot_product-t5"))
def test_half_precision_is_close(case):
    checks.half_precision_is_close(case, "mixed_bfloat16")


def test_names_and_layers_resolve():
    for name, kind in positions.INSIDE_ATTENTION.items():
        layer = positions.get(name)
        assert type(layer) is kind
        assert positions.get(layer) is layer
        again = positions.get(keras.saving.serialize_keras_object(layer))
        assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "given, close",
    [
        ("rotery", "'rotary'"),
        ("ALiBi", "'alibi'"),
        ("sinusoidal", "input"),
        (layers.SinusoidalPositions(), "input"),
        (5, "choices"),
    ],
)
def test_refuses_other_positions(given, close):
    with pytest.raises(ValueError, match="Received: positions=") as found:
        layers.DotProductAttention(2, 4, positions=given)
    assert close in str(found.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.RotaryPositions(max_wavelength=0),
        lambda: layers.RotaryPositions(scaling_factor=-1.0),
        lambda: layers.RotaryPositions(original_length=0),
        lambda: layers.ShawPositions(0),
        lambda: layers.ShawPositions(2.5),
        lambda: layers.T5Positions(num_buckets=7),
        lambda: layers.T5Positions(num_buckets=0),
        lambda: layers.T5Positions(num_buckets=2),
        lambda: layers.T5Positions(max_distance=0),
        lambda: layers.T5Positions(num_buckets=32, max_distance=8),
    ],
)
def test_refuses_bad_options(make):
    with pytest.raises(ValueError, match="Received:"):
        make()


def test_queries_and_keys_have_times_of_their_own():
    layer = layers.DotProductAttention(2, 4, positions="rotary")
    call = cross()
    layer(**call)
    harness.randomise(layer)
    want = harness.run(layer, call).output
    times = {
        "query_positions": np.arange(float(harness.QUERY_LENGTH)),
        "key_positions": np.arange(float(harness.KEY_LENGTH)),
    }
    assert_close(harness.run(layer, {**call, **times}).output, want, "given", 1e-6)
    times["key_positions"] = times["key_positions"] + 2
    assert np.abs(harness.run(layer, {**call, **times}).output - want).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(6,), (3, 7), (2, 7, 1)])
def test_refuses_positions_of_another_shape(name, shape):
    layer, x, times = made(name), normal(2, 7, 3, 4), np.zeros(shape, "float32")
    sides = ["positions"] if name == "rotary" else ["query_positions", "key_positions"]
    for side in sides:
        for method in (layer, layer.compute_output_spec):
            with pytest.raises(ValueError, match=f"Received: {side} of shape"):
                method(x, **{side: times})
