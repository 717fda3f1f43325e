"""Blocks on packed rows: each segment has the outputs that it has alone."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal
from tests.few import a_few

PACKING = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS if layer.packs]
CROSSING = [
    layers.name_of(layer)
    for layer in layers.ATTENTION_LAYERS
    if layer.packs and layer.cross_attention
]
SEGMENTS = np.array([[2, 2, 2, 1, 1, 3, 3, 0], [0, 1, 1, 1, 1, 2, 0, 2]], "int32")
SOURCE_SEGMENTS = np.array([[1, 1, 3, 2, 2, 2], [2, 2, 0, 1, 1, 1]], "int32")
X, SOURCE = normal(2, 8, 8, seed=1), normal(2, 6, 4, seed=2)


def value(tensor):
    """Return a tensor as NumPy."""
    return harness.to_numpy(tensor)


def encoder(attention="dot_product", **options):
    """Return a built encoder block with random weights."""
    made = layers.TransformerEncoder(10, 2, attention=attention, **options)
    made.build(X.shape)
    harness.randomise(made, scale=0.3)
    return made


def decoder(attention="dot_product", cross_attention="dot_product", source=SOURCE):
    """Return a built decoder block with random weights."""
    made = layers.TransformerDecoder(10, 2, attention, cross_attention)
    made.build(X.shape, None if source is None else source.shape)
    harness.randomise(made, scale=0.3)
    return made


def segments_of(ids):
    """Return the rows and the real steps of all segments."""
    return [
        (row, np.flatnonzero(ids[row] == number))
        for row in range(len(ids))
        for number in np.unique(ids[row])
        if number
    ]


def with_nan(x, ids):
    """Return a copy with NaN in padding."""
    return np.where((ids == 0)[..., None], np.float32(np.nan), x)


@pytest.mark.parametrize("name", a_few(PACKING))
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("feed_forward", ["dense", "channel_mixing"])
def test_an_encoder_equals_each_segment_alone(name, causal, feed_forward):
    made = encoder(name, normalize_first=causal, feed_forward=feed_forward)
    options = {"use_causal_mask": causal}
    packed = value(made(with_nan(X, SEGMENTS), segment_ids=SEGMENTS, **options))
    for row, steps in segments_of(SEGMENTS):
        alone = value(made(X[row : row + 1, steps], **options))
        harness.assert_close(packed[row, steps], alone[0], f"row {row}, {steps}", 1e-5)
    listed = made(X, segment_ids=SEGMENTS.tolist(), **options)
    real = SEGMENTS != 0
    harness.assert_close(value(listed)[real], packed[real], "lists", 1e-5)


@pytest.mark.parametrize("feed_forward", ["dense", "channel_mixing"])
def test_nan_stays_in_its_segment(feed_forward):
    made = encoder(feed_forward=feed_forward)
    want = value(made(X, segment_ids=SEGMENTS))
    x = X.copy()
    x[0, 3] = np.nan
    got = value(made(x, segment_ids=SEGMENTS))
    broken = np.zeros(SEGMENTS.shape, bool)
    broken[0, 3:5] = True
    other = (SEGMENTS != 0) & ~broken
    assert np.isnan(got[broken]).all()
    harness.assert_close(got[other], want[other], "others", 1e-6)


def test_segments_and_a_mask_hide_padding_together():
    made = encoder(feed_forward="channel_mixing")
    mask = np.ones(SEGMENTS.shape, bool)
    mask[0, 1] = mask[1, 5] = False
    got = value(made(X, padding_mask=mask, segment_ids=SEGMENTS))
    for row, steps in segments_of(np.where(mask, SEGMENTS, 0)):
        alone = value(made(X[row : row + 1, steps]))
        harness.assert_close(got[row, steps], alone[0], f"row {row}, {steps}", 1e-5)


def fitted(remat, feed_forward):
    """Return the weights of a model after a step of training on packed rows."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8)), keras.Input((8,), dtype="int32")
    block = layers.TransformerEncoder(10, 2, feed_forward=feed_forward, remat=remat)
    model = keras.Model(inputs, block(inputs[0], segment_ids=inputs[1]))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit([X, SEGMENTS], X, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("feed_forward", ["dense", "channel_mixing"])
def test_gradient_checkpointing_changes_nothing(feed_forward):
    kept, again = (fitted(remat, feed_forward) for remat in (False, True))
    for got, want in zip(again, kept, strict=True):
        harness.assert_close(got, want, "weight", 1e-5)


@pytest.mark.parametrize("name", a_few(PACKING))
@pytest.mark.parametrize("cross", a_few(CROSSING))
def test_a_decoder_equals_each_segment_alone(name, cross):
    made = decoder(name, cross)
    packed = made(
        with_nan(X, SEGMENTS),
        with_nan(SOURCE, SOURCE_SEGMENTS),
        decoder_segment_ids=SEGMENTS,
        encoder_segment_ids=SOURCE_SEGMENTS,
    )
    for row, steps in segments_of(SEGMENTS):
        others = np.flatnonzero(SOURCE_SEGMENTS[row] == SEGMENTS[row, steps[0]])
        alone = made(X[row : row + 1, steps], SOURCE[row : row + 1, others])
        what = f"row {row}, {steps}"
        harness.assert_close(value(packed)[row, steps], value(alone)[0], what, 1e-5)


def test_a_decoder_without_an_encoder_sequence():
    made = decoder("temporal_weighted", source=None)
    packed = value(made(X, decoder_segment_ids=SEGMENTS))
    for row, steps in segments_of(SEGMENTS):
        alone = value(made(X[row : row + 1, steps]))
        harness.assert_close(packed[row, steps], alone[0], f"row {row}, {steps}", 1e-5)


def test_a_functional_model_of_packed_rows(tmp_path):
    inputs = keras.Input((8, 8)), keras.Input((8,), dtype="int32")
    outputs = layers.TransformerEncoder(10, 2)(inputs[0], segment_ids=inputs[1])
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    history = model.fit([X, SEGMENTS], X, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    want = model.predict([X, SEGMENTS], verbose=0)
    block = model.layers[-1]
    real = SEGMENTS != 0
    again = value(block(X, segment_ids=SEGMENTS))
    harness.assert_close(want[real], again[real], "block", 1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    got = loaded.predict([X, SEGMENTS], verbose=0)
    harness.assert_close(got[real], want[real], "loaded", 1e-6)


def test_refuses_what_packed_rows_cannot_have():
    made, wide = encoder(), encoder(feed_forward="channel_mixing")
    keras_attention = encoder(keras.layers.MultiHeadAttention(2, 3))
    both, own = decoder(), decoder(source=None)
    state = made.initial_state(2)
    mixing = wide.feed_forward
    packed = {"segment_ids": SEGMENTS}
    packed_decoder = {"decoder_segment_ids": SEGMENTS}
    causal = {"use_causal_mask": True, **packed}
    for call in (
        lambda: made(X, segment_ids=SEGMENTS[:, :7]),
        lambda: made(X, segment_ids=SEGMENTS.astype("float32")),
        lambda: made(X, initial_state=state, **causal),
        lambda: wide(X, return_state=True, **causal),
        lambda: mixing(X, return_last=True, **packed),
        lambda: mixing(X, previous=X[:, 0], **packed),
        lambda: mixing(X, segment_ids=SEGMENTS[:, :7]),
        lambda: keras_attention(X, **packed),
        lambda: both(X, SOURCE, **packed_decoder),
        lambda: both(X, SOURCE, encoder_segment_ids=SOURCE_SEGMENTS),
        lambda: both(X, SOURCE, encoder_segment_ids=SEGMENTS, **packed_decoder),
        lambda: own(X, encoder_segment_ids=SOURCE_SEGMENTS, **packed_decoder),
        lambda: own(X, return_state=True, **packed_decoder),
    ):
        with pytest.raises(ValueError, match="Received:"):
            call()


def test_refuses_attention_without_packed_rows(monkeypatch):
    monkeypatch.setattr(layers.RetentionAttention, "packs", False)
    with pytest.raises(ValueError, match=r"packed rows\. Received: segment_ids for"):
        encoder("retention")(X, segment_ids=SEGMENTS)
