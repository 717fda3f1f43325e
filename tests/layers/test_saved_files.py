"""Files that were saved before the layers were restructured still load."""

import pathlib
import zipfile

import keras
import numpy as np
import pytest

from tests.layers.saved import write

SAVED = pathlib.Path(write.__file__).parent


@pytest.fixture(scope="module")
def expected():
    """Return the outputs of the saved models at the time of saving."""
    with np.load(SAVED / "outputs.npz") as found:
        return dict(found)


def check_layers(model, expected):
    """Check the outputs of the model of all layers."""
    inputs, _ = write.example()
    for i, output in enumerate(model(inputs)):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(output),
            expected[f"output_{i}"],
            rtol=2e-4,
            atol=2e-5,
            err_msg=str(i),
        )


def test_every_layer_loads(expected):
    check_layers(keras.saving.load_model(SAVED / "every_layer.keras"), expected)


def test_weights_load_into_new_layers(expected, tmp_path):
    with zipfile.ZipFile(SAVED / "every_layer.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    # Other weights than those in the file.
    keras.utils.set_random_seed(2)
    model = write.every_layer()
    model.load_weights(tmp_path / "model.weights.h5")
    check_layers(model, expected)


def test_language_model_loads(expected):
    model = keras.saving.load_model(SAVED / "language_model.keras")
    _, tokens = write.example()
    output = keras.ops.convert_to_numpy(model(tokens))
    np.testing.assert_allclose(output, expected["text"], rtol=2e-4, atol=2e-5)
