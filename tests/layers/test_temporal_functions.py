"""The temporal functions: their initial values, and custom ones."""

import numpy as np
import pytest
from keras import ops

from keras_twa.layers import DotProductAttention
from keras_twa.layers import TemporalWeightedAttention
from keras_twa.testing import harness
from keras_twa.testing.scenarios import itself

BUILT_IN = ("linear", "sinusoidal", "exponential", "learned", "gated")


def weights_at(layer, times):
    """Return W at times, `(times, heads)`."""
    scaled = np.asarray(times, "float32")[:, None] / layer.time_scale
    highest = {"double_sigmoid": 2.0, "sigmoid": 1.0}[layer.weighting]
    weights = highest * ops.sigmoid(layer.temporal_function(scaled))
    public = layer.weights_at(np.asarray(times, "float32"))
    found = map(harness.to_numpy, (public, weights))
    np.testing.assert_allclose(*found, rtol=1e-5)
    return harness.to_numpy(weights)


def fresh(name, **options):
    """Return a layer with its initial weights."""
    layer = TemporalWeightedAttention(2, 4, temporal_function=name, **options)
    layer(*itself().values())
    return layer


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("applies_to", ["key", "query", "lag"])
def test_attention_starts_as_conventional(name, applies_to):
    layer = fresh(name, applies_to=applies_to)
    assert (weights_at(layer, [0, 1, 50, 1000, 4000]) == 1).all()
    call = itself()
    conventional = DotProductAttention(2, 4)
    conventional(*call.values())
    shared = harness.weights_of(conventional)
    harness.copy_weights(layer, conventional)
    assert set(harness.weights_of(layer)) > set(shared)
    want, got = (harness.run(x, call).output for x in (conventional, layer))
    harness.assert_close(got, want, "output at the start", 1e-6)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("applies_to", ["key", "query", "lag"])
def test_weights_start_near_one_with_a_single_sigmoid(name, applies_to):
    layer = fresh(name, applies_to=applies_to, weighting="sigmoid")
    weights = weights_at(layer, [0, 1, 50, 1000, 4000])
    assert weights.shape == (5, 2)
    assert (weights > 0.85).all() and (weights < 1).all()


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("weighting", ["double_sigmoid", "sigmoid"])
def test_weights_start_where_they_are_asked_to(name, weighting):
    options = {"applies_to": "lag", "initial_offset": -3.0, "weighting": weighting}
    layer = fresh(name, **options)
    far = 1e6 * layer.time_scale  # where the exponential has gone
    expected = (1 + (weighting == "double_sigmoid")) / (1 + np.exp(3.0))
    if name == "sinusoidal":  # sin(0) = 0
        far = 0.0
    np.testing.assert_allclose(weights_at(layer, [far]), expected, rtol=1e-5)
    copy = TemporalWeightedAttention.from_config(layer.get_config())
    copy(*itself().values())
    np.testing.assert_allclose(weights_at(copy, [far]), expected, rtol=1e-5)


@pytest.mark.parametrize("applies_to", ["key", "query", "lag"])
def test_gates_are_projections_of_their_own_side(applies_to):
    layer = fresh("gated", applies_to=applies_to, use_bias=True)
    names = {name for name in harness.weight_names(layer) if "kernel" in name}
    sides = ("query", "key") if applies_to == "lag" else (applies_to,)
    parts = {f"{side}_{part}" for side in sides for part in ("offset", "slope")}
    plain = {"query", "key", "value", "attention_output"}
    assert names == {f"{name}/kernel" for name in parts | plain}
    assert not any(f"{name}/bias" in harness.weight_names(layer) for name in parts)


def test_gates_let_the_content_of_a_key_decide_how_long_it_counts():
    layer = TemporalWeightedAttention(
        1, 2, temporal_function="gated", applies_to="lag", mode="log_additive"
    )
    # The second feature says that a step is soon out of date.
    x = np.array([[[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]]], "float32")
    layer.build(x.shape)
    names = harness.weight_names(layer)
    for name in ("query/kernel", "key/kernel"):
        names[name].assign(np.zeros(names[name].shape))
    names["key_slope/kernel"].assign(np.array([[[0.0]], [[-20.0]]]))
    times = np.array([[0.0, 50.0, 100.0]], "float32")
    _, weights = layer(x, query_positions=times, return_attention_scores=True)
    last = harness.to_numpy(weights)[0, 0, -1]
    # The step in the middle is more recent than the first one, and does not count.
    assert last[1] < 1e-3
    np.testing.assert_allclose(last[[0, 2]], 0.5, atol=1e-3)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_parameter_is_per_head_and_learns(name):
    layer = fresh(name)
    harness.randomise(layer)
    weights = weights_at(layer, np.arange(9) * 20)
    assert np.abs(weights[:, 0] - weights[:, 1]).max() > 1e-3
    call = itself()
    output = harness.run(layer, call).output
    got = harness.run_with_gradients(layer, call, np.ones_like(output))
    own = {n: g for n, g in got.weights.items() if n.startswith("temporal_function/")}
    assert own
    for name, gradient in own.items():
        assert gradient.any(), f"{name} gets no gradient"


def test_time_is_scaled_by_a_constant_not_by_the_length():
    layer = fresh("linear", time_scale=10.0)
    harness.randomise(layer)
    x = itself(7)["query"]
    options = {"use_causal_mask": True, "return_attention_scores": True}
    short = harness.to_numpy(layer(x[:, :4], x[:, :4], **options)[1])
    long = harness.to_numpy(layer(x, x, **options)[1])
    harness.assert_close(long[:, :, :4, :4], short, "scores of the first four", 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"temporal_function": "liner"},
        {"temporal_function": 3},
        {"mode": "additive"},
        {"applies_to": "keys"},
        {"mode": "log_additive", "applies_to": "query"},
        {"time_scale": 0.0},
        {"time_scale": -1.0},
        {"initial_offset": float("inf")},
        {"initial_offset": "4"},
        {"weighting": "softmax"},
        {"weighting": None},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        TemporalWeightedAttention(2, 4, **options)


def test_names_the_function_that_was_meant():
    with pytest.raises(ValueError, match="sinusoidal"):
        TemporalWeightedAttention(2, 4, temporal_function="sinusoid")


def test_refuses_a_function_of_the_wrong_width():
    layer = TemporalWeightedAttention(
        2, 4, temporal_function=lambda u: ops.concatenate([u, u, u], axis=-1)
    )
    with pytest.raises(ValueError, match="Received:"):
        layer(*itself().values())
