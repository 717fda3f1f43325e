"""Our layers stand among those of keras-hub.

keras-hub brings TensorFlow along, so it is no dependency of the tests:
`pip install keras-hub && pytest tests/ecosystem/test_keras_hub.py`.
"""

import keras
import numpy as np
import pytest

from keras_twa.layers import TransformerEncoder
from keras_twa.testing import checks

hub = pytest.importorskip("keras_hub", reason="pip install keras-hub")


@pytest.mark.parametrize("attention", ["dot_product", "temporal_weighted", "local"])
def test_a_model_of_both_trains_and_comes_back(attention, tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    x = hub.layers.TokenAndPositionEmbedding(9, 8, 16, mask_zero=True)(tokens)
    x = TransformerEncoder(16, num_heads=2, attention=attention)(x)
    x = hub.layers.TransformerEncoder(16, num_heads=2)(x)
    x = hub.layers.TransformerDecoder(16, num_heads=2)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(tokens, keras.layers.Dense(3)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    rows = checks.small_tokens()
    history = model.fit(rows, np.arange(4) % 3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    # The mask of keras-hub's embedding goes through our block to its blocks.
    got = model.predict(rows, verbose=0)
    padded = model.predict(np.pad(rows, [(0, 0), (0, 2)]), verbose=0)
    np.testing.assert_allclose(padded, got, rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(rows, verbose=0), got, rtol=1e-5)
