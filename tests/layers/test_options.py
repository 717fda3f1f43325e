"""Invalid options and initial values of gravitational and multi-timescale layers."""

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal

GRAVITY = (
    layers.GravitationalAttention,
    layers.GravitationalMultiTimescaleAttention,
)
TIMESCALES = (
    layers.MultiTimescaleAttention,
    layers.GravitationalMultiTimescaleAttention,
)


@pytest.mark.parametrize("layer", GRAVITY)
@pytest.mark.parametrize(
    "options",
    [
        {"exponent": 0.0},
        {"exponent": -2.0},
        {"softening": 0.0},
        {"softening": -0.1},
        {"normalization": "l1"},
        {"normalization": "sofmax"},
        {"gravity": 0.0},
        {"gravity": -1.0},
    ],
)
def test_gravity_refuses_bad_options(layer, options):
    with pytest.raises(ValueError, match="Received:"):
        layer(2, 4, **options)


@pytest.mark.parametrize("layer", TIMESCALES)
@pytest.mark.parametrize(
    "options",
    [
        {"discounts": ()},
        {"discounts": (0.5, 1.0)},
        {"discounts": (0.0, 0.9)},
        {"discounts": (0.6, -0.2)},
        {"discounts": (0.6, 1.2)},
        {"discounts": (0.6, float("nan"))},
        {"discount": "additve"},
    ],
)
def test_timescales_refuse_bad_options(layer, options):
    with pytest.raises(ValueError, match="Received:"):
        layer(2, 4, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"discounts": (0.5, 1.0)},
        {"decoder": "tikonov"},
        {"decoder": "tikhonov", "trainable_discounts": True},
        {"decoder": "tikhonov", "lags": ()},
        {"decoder": "tikhonov", "lags": (2, 1)},
        {"decoder": "tikhonov", "lags": (-1, 1)},
        {"decoder": "tikhonov", "alpha": 0.0},
        {"epsilon": 0.0},
    ],
)
def test_timescale_retention_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.MultiTimescaleRetention(2, 4, **options)


def test_gravity_does_not_start_uniform():
    layer = layers.GravitationalAttention(4, 32)
    x = normal(2, 64, 128)
    _, scores = layer(x, x, return_attention_scores=True)
    scores = harness.to_numpy(scores).astype("float64")
    entropy = -(scores * np.log(scores + 1e-30)).sum(-1).mean() / np.log(64)
    assert entropy < 0.995


def test_query_mass_and_gravity_cancel_in_force_mode():
    layer = layers.GravitationalAttention(2, 4, normalization="force")
    call = itself()
    layer(**call)
    harness.randomise(layer)
    output = harness.run(layer, call).output
    got = harness.run_with_gradients(layer, call, normal(*output.shape, seed=2))
    for name in ("query_mass/kernel", "gravity/log_gravity"):
        assert np.abs(got.weights[name]).max() < 1e-5
    assert np.abs(got.weights["key_mass/kernel"]).max() > 1e-3


@pytest.mark.parametrize("layer", TIMESCALES)
@pytest.mark.parametrize("trainable", [False, True])
def test_discounts_start_as_given_and_stay_inside(layer, trainable):
    made = layer(2, 4, discounts=(0.2, 0.95), trainable_discounts=trainable)
    made(**itself())
    variable = harness.weight_names(made)["timescales/discount_logits"]
    logits = harness.to_numpy(variable.value)
    harness.assert_close(1 / (1 + np.exp(-logits)), [0.2, 0.95], "discounts", 1e-5)
    assert variable.trainable is trainable
    variable.assign([-90.0, 90.0])
    output = harness.run(made, itself()).output
    assert np.isfinite(output).all()
    got = harness.run_with_gradients(made, itself(), np.ones_like(output))
    for name, gradient in got.gradients().items():
        harness.assert_finite(gradient, f"gradient to {name} at the edge of (0, 1)")


def test_additive_discount_fades_with_distance():
    layer = layers.MultiTimescaleAttention(1, 4, discounts=(0.6,), discount="additive")
    x = np.zeros((1, 40, 4), "float32")
    _, scores = layer(x, x, return_attention_scores=True)
    row = harness.to_numpy(scores)[0, 0, 0]
    harness.assert_close(row[1:] / row[:-1], np.full(39, 0.6), "ratio", 1e-4)
