"""The schedule: its formula, in training, and in files."""

import keras
import numpy as np
import pytest

from keras_twa.testing import harness
from keras_twa.training import WarmupInverseSquareRoot


def test_equals_the_formula_of_the_paper():
    width, warmup = 512, 40
    rates = WarmupInverseSquareRoot((width * warmup) ** -0.5, warmup)
    for step in (0, 1, 38, 39, 40, 41, 100, 10_000):
        number = step + 1
        want = width**-0.5 * min(number**-0.5, number * warmup**-1.5)
        assert float(rates(step)) == pytest.approx(want, rel=1e-5)


def test_an_optimizer_takes_its_steps():
    rates = WarmupInverseSquareRoot(0.5, warmup_steps=2)
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile(keras.optimizers.SGD(rates), loss=lambda y, x: x)
    model.set_weights([np.zeros((1, 1))])
    ones = np.ones((1, 1), "float32")
    found = []
    for _ in range(4):
        before = model.get_weights()[0].item()
        model.train_on_batch(ones, ones)
        found.append(before - model.get_weights()[0].item())
    want = [0.25, 0.5, 0.5 * (2 / 3) ** 0.5, 0.5 * (2 / 4) ** 0.5]
    harness.assert_close(found, want, "steps", 1e-5)


def test_goes_into_a_file_and_comes_back(tmp_path):
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    rates = WarmupInverseSquareRoot(0.5, warmup_steps=7)
    model.compile(keras.optimizers.Adam(rates), loss="mse")
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.5 * 2 / 7)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 0.0},
        {"learning_rate": "fast"},
        {"learning_rate": 0.1, "warmup_steps": 0},
        {"learning_rate": 0.1, "warmup_steps": 1.5},
    ],
)
def test_refuses_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received:"):
        WarmupInverseSquareRoot(**arguments)
