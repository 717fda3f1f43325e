"""Models with exchanged attention are saved, loaded and cloned."""

import keras
import numpy as np
import pytest

import keras_twa
from keras_twa import layers
from keras_twa.swapping.places import attention_layers
from tests.few import a_few
from tests.swapping import models

KINDS = [
    pytest.param(kind, marks=() if kind in ("sequential", "subclassed") else full)
    for full in (pytest.mark.full,)
    for kind in models.KINDS
]


def classes(model):
    return [type(layer) for layer in attention_layers(model)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["temporal_weighted"])
def test_files(kind, name, tmp_path):
    model = models.fitted(models.KINDS[kind]())
    swapped = keras_twa.swap_attention(model, name)
    swapped.fit(models.ROWS, models.LABELS, verbose=0)
    want = models.outputs(swapped)
    swapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert classes(loaded) == classes(swapped)
    np.testing.assert_allclose(models.outputs(loaded), want, atol=1e-6)
    loaded.fit(models.ROWS, models.LABELS, verbose=0)
    # Once more, to a mechanism with other weights, and only in one place.
    path = attention_layers(loaded)[0].path
    again = keras_twa.swap_attention(loaded, "local", where=path)
    want = models.outputs(again)
    again.save(tmp_path / "again.keras")
    loaded = keras.saving.load_model(tmp_path / "again.keras")
    assert classes(loaded) == classes(again)
    assert layers.LocalAttention in classes(loaded)
    np.testing.assert_allclose(models.outputs(loaded), want, atol=1e-6)


def test_weights_alone(tmp_path):
    swapped = keras_twa.swap_attention(models.subclassed(), "dot_product")
    swapped.save_weights(tmp_path / "model.weights.h5")
    other = keras_twa.swap_attention(models.subclassed(), "dot_product")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(models.outputs(other), models.outputs(swapped))


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_clones(kind):
    swapped = keras_twa.swap_attention(models.KINDS[kind](), "dot_product")
    clone = keras.models.clone_model(swapped)
    assert classes(clone) == classes(swapped)
    clone.set_weights(swapped.get_weights())
    np.testing.assert_allclose(
        models.outputs(clone), models.outputs(swapped), atol=1e-6
    )


def test_what_does_not_load_is_said(tmp_path):
    @keras.saving.register_keras_serializable(package="tests.swapping")
    class Holder(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            x = keras.Input((None, models.WIDTH))
            self.model = keras.Model(x, models.attention("attention")(x, x))

        def call(self, x):
            return self.model(x)

    x = keras.Input((None, models.WIDTH))
    model = keras.Model(x, Holder(name="holder")(x))
    swapped = keras_twa.swap_attention(model, "dot_product")
    assert "holder cannot name the new attention" in str(swapped.swap_report)
    swapped.save_weights(tmp_path / "model.weights.h5")
    keras_twa.swap_attention(model, "dot_product").load_weights(
        tmp_path / "model.weights.h5"
    )


@pytest.mark.parametrize("name", a_few(layers.mechanisms()))
def test_every_mechanism_inside_a_layer(name, tmp_path):
    model = keras.Sequential(
        [keras.Input((5, models.WIDTH)), models.SelfAttention(name="one")]
    )
    swapped = keras_twa.swap_attention(model, name)
    rows = np.random.default_rng(0).normal(size=(2, 5, models.WIDTH))
    swapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        models.outputs(loaded, rows), models.outputs(swapped, rows), atol=1e-6
    )
