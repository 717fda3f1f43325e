"""Position embeddings against NumPy."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import timestamps


def waves(positions, features, max_wavelength=10_000):
    """Return the table of Vaswani et al., one entry at a time."""
    table = np.zeros((*np.shape(positions), features))
    for index in np.ndindex(table.shape):
        *step, feature = index
        pair = 2 * (feature // 2) / features
        angle = float(positions[tuple(step)]) / max_wavelength**pair
        table[index] = np.cos(angle) if feature % 2 else np.sin(angle)
    return table


@pytest.mark.parametrize("features", [1, 5, 6])
@pytest.mark.parametrize("length", [1, 7])
def test_sinusoidal_equals_its_formula(features, length):
    x = normal(2, length, features)
    got = to_numpy(layers.SinusoidalPositions()(x))
    assert_close(got, x + waves(np.arange(length), features), "output", 1e-5)


@pytest.mark.parametrize("shape", [(7,), (2, 7)])
def test_sinusoidal_at_real_times(shape):
    x, times = normal(2, 7, 6), timestamps(*shape)
    got = to_numpy(layers.SinusoidalPositions(max_wavelength=50)(x, positions=times))
    want = x + np.broadcast_to(waves(times, 6, 50), x.shape)
    assert_close(got, want, "output", 1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_sinusoidal_keeps_positions_apart_in_half_precision(dtype):
    x = np.zeros((1, 4096, 64), "float32")
    output = layers.SinusoidalPositions(dtype=dtype)(x)
    assert keras.backend.standardize_dtype(output.dtype) != "float32"
    got = to_numpy(output)[0]
    assert np.abs(got - waves(np.arange(4096), 64)).max() < 5e-3
    assert len(np.unique(got, axis=0)) == 4096


def test_sinusoidal_takes_large_times_in_half_precision():
    times = 1e6 + np.arange(7, dtype="float32")
    x = np.zeros((1, 7, 6), "float32")
    half = layers.SinusoidalPositions(dtype="mixed_bfloat16")(x, positions=times)
    whole = layers.SinusoidalPositions()(x, positions=times)
    assert np.abs(to_numpy(half) - to_numpy(whole)).max() < 5e-3


def test_learned_adds_its_rows():
    layer = layers.LearnedPositions(max_length=9)
    x = normal(2, 7, 6)
    got = to_numpy(layer(x))
    (rows,) = layer.get_weights()
    assert rows.shape == (9, 6)
    assert_close(got, x + rows[:7], "output", 1e-6)


@pytest.mark.parametrize("positions", [[5, 0, 8], [[5, 0, 8], [1, 1, 2]]])
def test_learned_at_given_positions(positions):
    layer = layers.LearnedPositions(max_length=9)
    x, positions = normal(2, 3, 6), np.array(positions)
    got = to_numpy(layer(x, positions=positions))
    (rows,) = layer.get_weights()
    assert_close(got, x + rows[positions], "output", 1e-6)
    with pytest.raises(ValueError, match="Received:"):
        layer(x, positions=np.arange(4))


def test_learned_refuses_longer_input():
    with pytest.raises(ValueError, match="Received:"):
        layers.LearnedPositions(max_length=3)(normal(2, 4, 6))


@pytest.mark.parametrize("shape", [(6,), (3, 7), (2, 7, 1)])
def test_sinusoidal_refuses_positions_of_another_shape(shape):
    with pytest.raises(ValueError, match="Received:"):
        layers.SinusoidalPositions()(normal(2, 7, 6), positions=np.zeros(shape))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LearnedPositions(0),
        lambda: layers.LearnedPositions(2.5),
        lambda: layers.SinusoidalPositions(max_wavelength=0),
    ],
)
def test_refuses_bad_options(make):
    with pytest.raises(ValueError, match="Received:"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.SinusoidalPositions(max_wavelength=77),
        lambda: layers.LearnedPositions(8, initializer="zeros"),
    ],
    ids=["sinusoidal", "learned"],
)
def test_masks_shapes_and_files(make, tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, 6, mask_zero=True)(tokens)
    model = keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(make()(x)))
    ids = np.array([[1, 2, 3, 0], [4, 5, 0, 0]], "int32")
    got = model.predict(ids, verbose=0)
    assert_close(model.predict(ids[1:, :2], verbose=0), got[1:], "masked mean", 1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_close(loaded.predict(ids, verbose=0), got, "loaded", 1e-6)
    config = make().get_config()
    assert type(make()).from_config(config).get_config() == config
