"""Timescales that are spread over a range, and the gate that weighs them."""

import numpy as np
import pytest
from keras import ops

from keras_twa import layers

LAYERS = [
    layers.MultiTimescaleAttention,
    layers.GravitationalMultiTimescaleAttention,
    layers.MultiTimescaleRetention,
]
X = np.random.default_rng(0).normal(size=(2, 50, 6)).astype("float32")

of_each = pytest.mark.parametrize("layer", LAYERS)


def timescales_of(layer):
    logs = ops.convert_to_numpy(layer.timescales.log_discounts())
    return -1 / logs


@of_each
def test_timescales_spread_over_the_length(layer):
    made = layer(2, 4, discounts="log_uniform", num_timescales=4)
    made(X)
    found = timescales_of(made)
    np.testing.assert_allclose(found, np.geomspace(1, 50, 4), rtol=1e-4)
    assert any("discount" in weight.name for weight in made.trainable_variables)


@of_each
def test_timescales_spread_over_a_range(layer):
    options = {"discounts": "log_uniform", "num_timescales": 3}
    made = layer(2, 4, longest_timescale=1000, **options)
    made(X[:, :5])
    np.testing.assert_allclose(timescales_of(made), [1, 1000**0.5, 1000], rtol=1e-3)
    again = layer.from_config(made.get_config())
    assert again.get_config() == made.get_config()
    assert again.timescales.num_timescales == 3


@of_each
def test_unknown_length_needs_a_range(layer):
    made = layer(2, 4, discounts="log_uniform", num_timescales=3)
    with pytest.raises(ValueError, match=r"longest timescale.*Received: .*length=None"):
        made.build((None, None, 6))


@of_each
def test_even_gate_changes_nothing(layer):
    plain, gated = layer(2, 4), layer(2, 4, decoder="gated")
    plain(X)
    gated(X)
    for name in ("kernel", "bias"):
        weight = getattr(gated._dense("timescale_gate"), name)
        weight.assign(np.zeros(weight.shape, "float32"))
    values = {weight.path.split("/", 1)[1]: weight for weight in plain.weights}
    for weight in gated.weights:
        name = weight.path.split("/", 1)[1]
        if "timescale_gate" not in name:
            weight.assign(values[name].value)
    found, expected = (ops.convert_to_numpy(each(X)) for each in (gated, plain))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@of_each
def test_selecting_all_is_the_gate(layer):
    made = layer(2, 4, decoder="gated")
    every = layer(2, 4, decoder="gated", select=3)
    made(X)
    every(X)
    every.set_weights(made.get_weights())
    found, expected = (ops.convert_to_numpy(each(X)) for each in (every, made))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@of_each
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discounts": "linear"}, "`discounts` must be"),
        ({"discounts": "log_uniform"}, "`num_timescales`"),
        ({"num_timescales": 3}, "requires `discounts='log_uniform'`"),
        ({"longest_timescale": 30}, "requires `discounts='log_uniform'`"),
        (
            {"discounts": "log_uniform", "num_timescales": 2, "longest_timescale": 1},
            "more than 1",
        ),
        ({"decoder": "open"}, "`decoder`"),
        ({"select": 2}, "requires `decoder='gated'`"),
        ({"decoder": "gated", "select": 4}, "as many timescales"),
        ({"decoder": "gated", "select": 0}, "`select`"),
    ],
)
def test_refuses_bad_options(layer, options, message):
    with pytest.raises(ValueError, match=rf"(?s){message}.*Received: "):
        layer(2, 4, **options)


def test_fixed_decoder_refuses_learned_discounts():
    options = {"decoder": "tikhonov", "discounts": "log_uniform", "num_timescales": 2}
    with pytest.raises(ValueError, match=r"require a learned decoder.*Received: "):
        layers.MultiTimescaleRetention(2, 4, **options)
