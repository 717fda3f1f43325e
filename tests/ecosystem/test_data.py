"""`fit` learns the same from every kind of data that Keras takes."""

import keras
import numpy as np
import pytest

from keras_twa.layers import TemporalWeightedAttention

ROWS, BATCH = 12, 4


def arrays():
    """Return events, their times, and what to learn, without a random order."""
    rng = np.random.default_rng(0)
    events = rng.normal(size=(ROWS, 6, 3)).astype("float32")
    times = np.cumsum(rng.exponential(1.0, (ROWS, 6)), axis=1).astype("float32")
    return {"events": events, "times": times}, times[:, -1:] / 6


def numpy_data(x, y):
    return {"x": x, "y": y, "batch_size": BATCH}


def tensorflow_data(x, y):
    tf = pytest.importorskip("tensorflow")
    return {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)}


def torch_data(x, y):
    torch = pytest.importorskip("torch")
    rows = [({name: x[name][i] for name in x}, y[i]) for i in range(ROWS)]
    return {"x": torch.utils.data.DataLoader(rows, batch_size=BATCH)}


def grain_data(x, y):
    grain = pytest.importorskip("grain", reason="pip install grain")
    rows = [({name: x[name][i] for name in x}, y[i]) for i in range(ROWS)]
    return {"x": grain.MapDataset.source(rows).batch(BATCH)}


def keras_data(x, y):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return ROWS // BATCH

        def __getitem__(self, index):
            rows = slice(index * BATCH, (index + 1) * BATCH)
            return {name: x[name][rows] for name in x}, y[rows]

    return {"x": Batches()}


def fitted(data):
    """Return the weights of a small model with timestamps after two epochs."""
    keras.utils.set_random_seed(0)
    events = keras.Input((None, 3), name="events")
    times = keras.Input((None,), name="times")
    attend = TemporalWeightedAttention(num_heads=2, key_dim=4, time_scale=5.0)
    x = keras.layers.Dense(8)(events)
    x = x + attend(x, x, query_positions=times)
    x = keras.layers.GlobalAveragePooling1D()(x)
    inputs = {"events": events, "times": times}
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(**data, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize(
    "make",
    [tensorflow_data, torch_data, grain_data, keras_data],
    ids=lambda f: f.__name__,
)
def test_fit(make):
    x, y = arrays()
    data = make(x, y)
    want = fitted(numpy_data(x, y))
    for got, expected in zip(fitted(data), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
