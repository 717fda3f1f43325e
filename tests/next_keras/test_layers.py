"""Every layer does its work: it trains, and is saved and loaded."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.models import CausalLM

STEPS, WIDTH = 6, 8
NAMES = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS]


def rows(seed=0):
    """Return random sequences."""
    x = np.random.default_rng(seed).normal(size=(2, STEPS, WIDTH))
    return x.astype("float32")


def assert_trains_and_loads(model, x, y, path):
    """A step changes the weights, and the file gives the same model back."""
    model.predict_on_batch(x)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    loss = model.train_on_batch(x, y)
    assert np.isfinite(loss)
    after = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    model.save(path)
    again = keras.saving.load_model(path)
    want, got = model.predict_on_batch(x), again.predict_on_batch(x)
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_attention(name, tmp_path):
    # Masks ride on tensors by Keras's private functions.
    model = keras.Sequential(
        [
            keras.Input((STEPS, WIDTH)),
            keras.layers.Masking(),
            layers.get(name, num_heads=2, key_dim=4),
        ]
    )
    model.compile("sgd", "mse")
    x = rows()
    x[0, 4:] = 0.0
    assert_trains_and_loads(model, x, rows(1), tmp_path / "model.keras")


def test_padding_reaches_no_output():
    layer = layers.DotProductAttention(num_heads=2, key_dim=4)
    x = rows()
    x[:, 4:] = 0.0
    outputs = keras.ops.convert_to_numpy(layer(keras.layers.Masking()(x)))
    alone = keras.ops.convert_to_numpy(layer(x[:, :4]))
    np.testing.assert_allclose(outputs[:, :4], alone, atol=1e-6)


def test_gradient_checkpointing(tmp_path):
    # What is computed again reads weights as they are stored, by a private class.
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential(
        [
            keras.Input((STEPS, WIDTH)),
            keras.layers.Masking(),
            layers.TransformerEncoder(
                intermediate_dim=16, num_heads=2, attention="retention", remat=True
            ),
        ]
    )
    model.compile("sgd", "mse")
    assert_trains_and_loads(model, rows(), rows(1), tmp_path / "model.keras")


def test_a_language_model_generates(tmp_path):
    model = CausalLM(9, attention="linear", embedding_dim=WIDTH, num_layers=1)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    tokens = np.array([[1, 2, 3, 4], [4, 5, 6, 7]])
    assert_trains_and_loads(model, tokens, tokens, tmp_path / "model.keras")
    texts = model.generate([[1, 2], [3]], 3)
    assert [len(text) for text in texts] == [2 + 3, 1 + 3]
