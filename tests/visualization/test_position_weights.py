"""Curves and patterns say what the layers do."""

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.visualization import position_weights
from tests import references

LENGTH = 12
ZEROS = np.zeros((1, LENGTH, 6), "float32")
ROWS = np.random.default_rng(0).normal(size=(2, LENGTH, 6)).astype("float32")


def built(layer, noise=True):
    """Return the layer, built, with random weights."""
    layer.build(ZEROS.shape)
    if noise:
        harness.randomise(layer)
    return layer


def curves(layer, panel=0, **options):
    """Return what a panel shows: x, and a line per row."""
    axes = position_weights(layer, LENGTH, **options).axes[panel]
    return axes.lines[0].get_xdata(), np.array([x.get_ydata() for x in axes.lines])


def scores(layer, inputs, **call):
    _, found = layer(inputs, return_attention_scores=True, **call)
    return harness.to_numpy(found)


def test_temporal_weights_are_those_of_the_scores():
    options = {"mode": "log_additive", "time_scale": 3.0, "kernel_initializer": "zeros"}
    layer = layers.TemporalWeightedAttention(2, 4, **options)
    layer.build(ZEROS.shape)
    harness.randomise(layer.temporal_function)
    times, weights = curves(layer)
    np.testing.assert_array_equal(times, np.arange(LENGTH))
    # Where nothing else is scored, a key has its share of all W.
    shares = weights / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, scores(layer, ZEROS)[0, :, 0], rtol=1e-5)


def test_temporal_weights_of_lags():
    options = {"mode": "log_additive", "time_scale": 3.0, "applies_to": "lag"}
    layer = layers.TemporalWeightedAttention(
        2, 4, kernel_initializer="zeros", temporal_function="exponential", **options
    )
    layer.build(ZEROS.shape)
    harness.randomise(layer.temporal_function)
    lags, weights = curves(layer)
    # The last query sees lags from LENGTH - 1 down to 0.
    seen = weights[:, np.searchsorted(lags, np.arange(LENGTH)[::-1])]
    shares = seen / seen.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, scores(layer, ZEROS)[0, :, -1], rtol=1e-5)


def test_discounts_are_those_of_the_scores():
    layer = layers.MultiTimescaleAttention(
        2, 4, discounts=(0.5, 0.9), trainable_discounts=True, discount="additive"
    )
    lags, fades = curves(built(layer))
    shares = fades / fades.sum(axis=1, keepdims=True)
    found = scores(layer, ZEROS)[0, ::2, 0]
    np.testing.assert_allclose(shares, found, rtol=1e-4, atol=1e-7)
    assert not np.isclose(fades[0, 1], 0.5, atol=1e-3), "the discounts were learned"
    np.testing.assert_array_equal(lags, np.arange(LENGTH))


def test_forces_are_those_of_the_formula():
    options = {"exponent": 3.0, "softening": 0.2}
    layer = built(layers.GravitationalAttention(2, 4, **options))
    distance, forces = curves(layer)
    constants = np.exp(harness.weights_of(layer)["gravity/log_gravity"])
    by_hand = constants / (distance**2 + 0.2**2) ** 1.5
    np.testing.assert_allclose(forces, by_hand, rtol=1e-5)


def test_gravity_with_timescales_has_two_panels():
    layer = built(layers.GravitationalMultiTimescaleAttention(2, 4))
    _, fades = curves(layer)
    np.testing.assert_allclose(fades[:, 1], [0.6, 0.9, 0.99], rtol=1e-6)
    _, forces = curves(layer, panel=1)
    assert forces.shape == (6, LENGTH)


def test_retention_fades_as_its_output_does():
    layer = built(layers.RetentionAttention(2, 4, discounts=(0.5, 0.9)))
    _, fades = curves(layer)
    by_hand = np.power.outer([0.5, 0.9], np.arange(LENGTH))
    np.testing.assert_allclose(fades, by_hand, rtol=1e-6)


@pytest.mark.parametrize("trainable", [False, True])
def test_retention_at_several_timescales(trainable):
    options = {"discounts": (0.5, 0.9), "trainable_discounts": trainable}
    layer = built(layers.MultiTimescaleRetention(2, 4, **options), noise=False)
    _, fades = curves(layer)
    by_hand = np.power.outer([0.5, 0.9], np.arange(LENGTH))
    np.testing.assert_allclose(fades, by_hand, rtol=1e-5)


def test_the_tikhonov_decoder_sees_the_lags_it_estimates():
    layer = layers.MultiTimescaleRetention(
        1, 4, discounts=(0.3, 0.6, 0.9), decoder="tikhonov", lags=(0, 3), alpha=1e-6
    )
    layer.build(ZEROS.shape)
    layer.lag_weights.assign([[0.0, 1.0]])
    _, (kernel,) = curves(layer)
    # Three sums tell two lags apart: what was added 3 steps ago, and nothing of now.
    np.testing.assert_allclose(kernel[[0, 3]], [0, 1], atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        layers.LocalAttention(2, 4, window=3, num_global_tokens=1),
        layers.SparseAttention(2, 4, block_size=2, num_random_blocks=1),
        layers.SparseAttention(2, 4, block_size=6, pattern=[[True, False]] * 2),
    ],
)
def test_patterns_are_what_the_layer_sees(layer):
    axes = position_weights(built(layer), LENGTH).axes[0]
    seen = np.ma.filled(axes.images[0].get_array(), 0)
    np.testing.assert_array_equal(seen, scores(layer, ROWS)[0, 0] > 0)


def test_no_more_steps_are_drawn_than_a_mask_is_for():
    layer = built(layers.SparseAttention(2, 4, block_size=4, pattern=np.eye(3) > 0))
    (image,) = position_weights(layer).axes[0].images
    assert image.get_array().shape == (12, 12)


def test_the_bias_of_lags_of_blocks():
    layer = built(layers.BlockRecurrentAttention(2, 4, block_size=5, num_states=2))
    lags, weights = curves(layer)
    bias = harness.weights_of(layer)["lag_bias"]
    np.testing.assert_array_equal(lags, np.arange(5))
    np.testing.assert_allclose(weights, np.exp(bias).T, rtol=1e-5)


def test_the_bias_of_lags_of_transformer_xl():
    layer = built(layers.TransformerXLAttention(2, 4))
    # With queries and keys of zero, nothing but positions is scored.
    for name in ("query", "key"):
        for variable in layer._sublayers[name].variables:
            variable.assign(np.zeros(variable.shape))
    lags, weights = curves(layer)
    seen = weights[:, np.searchsorted(lags, np.arange(LENGTH)[::-1])]
    shares = seen / seen.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, scores(layer, ZEROS)[0, :, -1], rtol=1e-4)


@pytest.mark.parametrize("name", ["dot_product", "linear", "forgetting", "lsh", "rwkv"])
def test_without_inputs_some_mechanisms_have_nothing_to_show(name):
    layer = built(layers.get(name, num_heads=2, key_dim=4))
    with pytest.raises(ValueError, match=f"Received: {type(layer).__name__}"):
        position_weights(layer)


@pytest.mark.parametrize("name", ["temporal_weighted", "forgetting"])
def test_mean_weights_are_those_of_the_scores(name):
    layer = built(layers.get(name, num_heads=2, key_dim=4))
    lags, means = curves(layer, inputs=ROWS)
    weights = scores(layer, ROWS)
    for index, lag in enumerate(lags):
        pairs = [
            weights[:, :, i, i - lag] for i in range(LENGTH) if 0 <= i - lag < LENGTH
        ]
        np.testing.assert_allclose(
            means[:, index], np.mean(pairs, axis=(0, 1)), rtol=1e-5
        )
    first = 0 if layer.causality == "always" else 1 - LENGTH
    np.testing.assert_array_equal(lags, np.arange(first, LENGTH))


def test_influence_is_the_derivative():
    layer = built(layers.LinearAttention(1, 4))
    row = ROWS[:1].astype("float64")
    lags, (found,) = curves(layer, inputs=row)
    loop = harness.weights_of(layer)
    before = references.linear(loop, row, row)[0]
    change = np.random.default_rng(0).normal(size=row.shape[1:])
    moved = np.zeros((LENGTH, LENGTH))
    for j in range(LENGTH):
        after = row.copy()
        after[0, j] += 1e-5 * change[j]
        gain = (references.linear(loop, after, after)[0] - before)[0] / 1e-5
        moved[:, j] = np.linalg.norm(gain, axis=-1) / np.linalg.norm(change[j])
    for index, lag in enumerate(lags):
        np.testing.assert_allclose(found[index], np.diag(moved, -lag).mean(), rtol=0.1)


def test_influence_of_a_causal_mechanism_is_that_of_the_past():
    layer = built(layers.RetentionAttention(1, 4, discounts=(0.5,)))
    lags, (line,) = curves(layer, inputs=ROWS)
    np.testing.assert_array_equal(lags, np.arange(LENGTH))
    assert (line > 0).all()


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (layers.DotProductAttention(1, 4), {}),
        ("dot_product", {}),
        (layers.TransformerEncoder(4, 1), {}),
    ],
)
def test_what_is_no_built_attention_layer_is_refused(layer, options):
    with pytest.raises(ValueError, match="Received: layer="):
        position_weights(layer, **options)


@pytest.mark.parametrize("options", [{"length": 0}, {"inputs": np.zeros((3, 4))}])
def test_sizes_that_do_not_fit_are_refused(options):
    with pytest.raises(ValueError, match="Received:"):
        position_weights(built(layers.RetentionAttention(1, 4)), **options)
