"""Our layers stand among those of keras-hub.

keras-hub brings TensorFlow along, so it is no dependency of the tests:
`pip install keras-hub && pytest tests/ecosystem/test_keras_hub.py`.
"""

import keras
import numpy as np
import pytest

import keras_twa
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


def hub_encoder():
    """Return a classifier of keras-hub's encoder blocks, which pass padding on."""
    tokens = keras.Input((None,), dtype="int32")
    x = hub.layers.TokenAndPositionEmbedding(9, 8, 16, mask_zero=True)(tokens)
    x = hub.layers.TransformerEncoder(16, num_heads=2, dropout=0.1)(x)
    x = hub.layers.TransformerEncoder(16, num_heads=2)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, keras.layers.Dense(3)(x))


def hub_decoder():
    """Return a model of keras-hub's decoder blocks, one with cross-attention."""
    tokens = keras.Input((None,), dtype="int32")
    x = hub.layers.TokenAndPositionEmbedding(9, 8, 16)(tokens)
    x = hub.layers.TransformerDecoder(16, num_heads=2)(x)
    x = hub.layers.TransformerDecoder(16, num_heads=2)(x, x)
    return keras.Model(tokens, keras.layers.Dense(3)(x[:, -1]))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (hub_encoder, "dot_product"),
        (hub_encoder, "retention"),
        (hub_decoder, "dot_product"),
        (hub_decoder, "temporal_weighted"),
    ],
)
def test_attention_of_its_blocks_is_exchanged(make, name, tmp_path):
    model = make()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rows = checks.small_tokens()
    model.fit(rows, np.arange(4) % 3, verbose=0)
    before = model.predict(rows, verbose=0)
    swapped = keras_twa.swap_attention(model, name)
    if name == "dot_product":
        got = swapped.predict(rows, verbose=0)
        np.testing.assert_allclose(got, before, atol=1e-5)
    swapped.fit(rows, np.arange(4) % 3, verbose=0)
    got = swapped.predict(rows, verbose=0)
    swapped.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(rows, verbose=0), got, atol=1e-6)
    np.testing.assert_array_equal(model.predict(rows, verbose=0), before)
    back = keras_twa.swap_attention(again, keras.layers.MultiHeadAttention)
    assert np.isfinite(back.predict(rows, verbose=0)).all()


def test_pairs_of_its_decoder_are_refused():
    with pytest.raises(ValueError, match=r"transformer_decoder.*no scores of pairs"):
        keras_twa.swap_attention(hub_decoder(), "retention")


def test_a_backbone_and_a_task_stay_what_they_are(tmp_path):
    backbone = hub.models.BertBackbone(9, 2, 2, 16, 16, max_sequence_length=8)
    model = hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=None)
    tokens = checks.small_tokens()
    rows = {
        "token_ids": tokens,
        "padding_mask": (tokens != 0).astype("int32"),
        "segment_ids": tokens * 0,
    }
    before = model.predict(rows, verbose=0)
    swapped = keras_twa.swap_attention(model, "dot_product")
    assert isinstance(swapped, hub.models.BertTextClassifier)
    assert isinstance(swapped.backbone, hub.models.BertBackbone)
    np.testing.assert_allclose(swapped.predict(rows, verbose=0), before, atol=1e-5)
    swapped.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(rows, verbose=0), before, atol=1e-5)
