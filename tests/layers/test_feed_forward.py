"""The feed-forward network, with and without gates, against NumPy."""

import keras
import numpy as np
import pytest
from scipy.special import erf

from keras_twa import layers
from keras_twa.models import EncoderClassifier
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal

X = normal(2, 7, 6, seed=1)
FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "swiglu": lambda x: x / (1 + np.exp(-x)),
    "geglu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
}


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_equals_its_formula(activation):
    made = layers.FeedForward(10, activation)
    made.build(X.shape)
    harness.randomise(made)
    weights = harness.weights_of(made)

    def dense(name, x):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    x = FUNCTIONS[activation](dense("expand", X.astype("float64")))
    if activation != "relu":
        x = x * dense("gate", X.astype("float64"))
    assert ("gate/kernel" in weights) == (activation != "relu")
    got = harness.to_numpy(made(X))
    harness.assert_close(got, dense("project", x), "output", 1e-5)


@pytest.mark.parametrize("activation", ["geglu", "gelu", keras.activations.silu])
def test_saves_and_loads_in_a_block(activation, tmp_path):
    inputs = keras.Input((None, 6))
    made = layers.TransformerEncoder(10, 2, activation=activation)
    model = keras.Model(inputs, made(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    got, want = (harness.to_numpy(one(X)) for one in (loaded, model))
    harness.assert_close(got, want, "output", 1e-6)
    assert loaded.layers[1].get_config() == made.get_config()
    again = layers.FeedForward.from_config(made.feed_forward.get_config())
    assert again.activation == made.feed_forward.activation


def test_the_head_of_a_classifier_has_no_gate():
    model = EncoderClassifier(9, 3, embedding_dim=8, activation="swiglu")
    model.build((None, 5))
    assert model.hidden.activation is keras.activations.silu
    assert model.blocks[0].feed_forward.gate is not None


@pytest.mark.parametrize("options", [{"intermediate_dim": 0}, {"dropout": 1.0}])
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.FeedForward(**{"intermediate_dim": 8, **options})
