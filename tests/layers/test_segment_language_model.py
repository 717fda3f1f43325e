"""The language model with a memory: streams, documents, training, files."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.datasets import cut_into_segments
from keras_twa.models import SegmentLanguageModel
from keras_twa.testing import harness

SMALL = {
    "vocabulary_size": 9,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
    "dropout": 0.0,
}
BATCH, LENGTH, SEGMENTS = 2, 4, 3
TEXT = np.random.default_rng(0).integers(1, 9, (BATCH, LENGTH * SEGMENTS), "int32")
STREAMS = ("linear", "local", "performer", "retention", "transformer_xl")


def model(batch=BATCH, **options):
    """Return a built model with random weights."""
    made = SegmentLanguageModel(**{**SMALL, **options})
    made.build((batch, LENGTH))
    harness.randomise(made, scale=0.3)
    return made


def compiled(made, rate=0.1):
    """Return a model that can be fit."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(rate), loss)
    return made


def logits(made, tokens, **options):
    """Return the logits as NumPy."""
    return harness.to_numpy(made(tokens, **options))


def in_segments(made, text=TEXT, **options):
    """Return the logits of segments read one after the other."""
    parts = np.split(text, SEGMENTS, axis=1)
    return np.concatenate([logits(made, x, **options) for x in parts], axis=1)


def data():
    """Return segments and their next tokens, for `fit`."""
    stream = np.random.default_rng(1).integers(1, 9, BATCH * LENGTH * SEGMENTS + BATCH)
    inputs, targets, _ = cut_into_segments(stream, BATCH, LENGTH)
    return inputs, targets


@pytest.mark.parametrize("name", STREAMS)
def test_segments_equal_one_call(name):
    attention = layers.get(name, num_heads=2, key_dim=4, seed=1)
    made = model(attention=attention)
    whole = logits(model(attention=attention, stateful=False), TEXT)
    for training in (False, True):
        got = in_segments(made, training=training)
        harness.assert_close(got, whole, "logits", 1e-5)


# Padding counts as time; at the start, it does not change any lag.
@pytest.mark.parametrize(
    ("attention", "places"), [("linear", [4, 4, 9]), ("transformer_xl", [0, 0, 0])]
)
def test_padding_changes_nothing(attention, places):
    made = model(attention=attention)
    want = logits(made, TEXT)
    made.reset_state()
    padded = np.insert(TEXT, places, 0, axis=1)
    parts = [logits(made, x) for x in np.split(padded, 3, axis=1)]
    got = np.concatenate(parts, axis=1)[:, padded[0] != 0]
    harness.assert_close(got, want, "logits", 1e-5)


def test_documents_forget_what_was_before():
    made = model()
    first, second, _ = np.split(TEXT, SEGMENTS, axis=1)
    logits(made, first)
    begins = np.array([False, True])
    got = logits(made, {"tokens": second, "begins": begins})
    made.reset_state()
    fresh = logits(made, second)
    made.reset_state()
    went_on = (logits(made, first), logits(made, second))[1]
    harness.assert_close(got, np.stack([went_on[0], fresh[1]]), "logits", 1e-6)
    assert np.abs(fresh - went_on).max() > 1e-3


def test_training_and_evaluation_have_a_memory_each():
    made = model()
    fresh = logits(made, TEXT[:, :4], training=True)
    logits(made, TEXT[:, 4:], training=True)
    harness.assert_close(logits(made, TEXT[:, :4]), fresh, "logits", 1e-6)
    made.reset_state("training")
    again = logits(made, TEXT[:, :4], training=True)
    harness.assert_close(again, fresh, "logits", 1e-6)
    assert np.abs(logits(made, TEXT[:, :4]) - fresh).max() > 1e-3
    with pytest.raises(ValueError, match="Received:"):
        made.reset_state("both")


def test_epochs_begin_without_a_memory():
    x, y = data()
    made = compiled(model(), rate=0.0)
    logits(made, TEXT[:, :4], training=True)
    options = {"batch_size": BATCH, "verbose": 0}
    losses = made.fit(x, y, epochs=3, **options).history["loss"]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
    # The same numbers as step by step: the memory was kept within an epoch.
    made.reset_state()
    np.testing.assert_allclose(made.evaluate(x, y, **options), losses[0], rtol=1e-5)
    got = made.predict(x, **options).reshape(SEGMENTS, BATCH, LENGTH, -1)
    made.reset_state()
    text = np.concatenate(x["tokens"].reshape(SEGMENTS, BATCH, LENGTH), axis=1)
    want = np.split(in_segments(made, text), SEGMENTS, axis=1)
    harness.assert_close(got, np.stack(want), "predictions", 1e-5)


def test_validation_does_not_disturb_training():
    x, y = data()
    options = {"batch_size": BATCH, "epochs": 2, "verbose": 0}
    alone = compiled(model()).fit(x, y, **options).history
    made = compiled(model())
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(1))
    beside = made.fit(x, y, validation_data=(x, y), callbacks=watch, **options).history
    np.testing.assert_allclose(beside["loss"], alone["loss"], rtol=1e-6)
    last = made.evaluate(x, y, batch_size=BATCH, verbose=0)
    np.testing.assert_allclose(last, beside["val_loss"][-1], rtol=1e-6)
    assert len(seen) == 2


def test_saves_and_loads(tmp_path):
    attention = layers.TransformerXLAttention(2, 6, memory_length=7)
    made = model(attention=attention)
    logits(made, TEXT)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == made.get_config()
    made.reset_state()
    # The memory is not saved.
    harness.assert_close(logits(loaded, TEXT), logits(made, TEXT), "logits", 1e-6)
    assert loaded.blocks[1].attention_layer.memory_length == 7


def test_weights_fit_batches_of_another_size(tmp_path):
    made, other = model(), model(batch=1)
    harness.randomise(other, seed=7)
    made.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    want = logits(made, TEXT)[:1]
    harness.assert_close(logits(other, TEXT[:1]), want, "logits", 1e-5)


def test_half_precision_keeps_times():
    made = model(dtype="mixed_bfloat16")
    symbolic = made(keras.Input(batch_shape=(2, 4), dtype="int32"))
    assert (symbolic.shape, symbolic.dtype) == ((2, 4, 9), "float32")
    tokens = np.ones((BATCH, 300), "int32")
    for _ in range(2):
        assert np.isfinite(logits(made, tokens)).all()
    states = made.memories["evaluation"].read()
    assert harness.to_numpy(states[0]["last"])[0] == 599
    assert harness.to_numpy(states[0]["time"])[0, -3:].tolist() == [-2, -1, 0]


def test_without_a_memory_batches_have_any_size():
    made = model(stateful=False)
    first = logits(made, TEXT)
    harness.assert_close(logits(made, TEXT[:1]), first[:1], "logits", 1e-5)
    assert not made.non_trainable_variables


@pytest.mark.parametrize(
    "options",
    [
        {"vocabulary_size": 0},
        {"num_layers": 0},
        {"embedding_dim": -1},
        {"attention": "transformer_xs"},
        {"attention": "dot_product"},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        model(**options)


def test_refuses_bad_batches():
    made = compiled(model())
    with pytest.raises(ValueError, match="Received:"):
        made(TEXT[:1])
    with pytest.raises(ValueError, match="Received: shuffle=True"):
        made.fit(*data(), batch_size=BATCH, shuffle=True)
    with pytest.raises(ValueError, match="batch size must be known"):
        SegmentLanguageModel(**SMALL).build((None, LENGTH))


def copies(count, seed):
    """Return documents that repeat six random tokens: the repetition is predictable."""
    rng = np.random.default_rng(seed)
    documents = [np.tile(rng.integers(1, 7, 6), 3)[:13] for _ in range(count)]
    inputs, targets, weights = cut_into_segments(documents, 16, 6)
    return inputs, targets, weights * ~inputs["begins"][:, None]


def test_learns_what_only_a_memory_can_know():
    losses = {}
    for stateful in (True, False):
        keras.utils.set_random_seed(0)
        attention = layers.TransformerXLAttention(
            2, 8, position_dim=16, memory_length=6
        )
        made = SegmentLanguageModel(
            7, attention, 1, 16, 2, 32, dropout=0.0, stateful=stateful
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        made.compile(keras.optimizers.Adam(0.01), loss)
        options = {"batch_size": 16, "verbose": 0}
        for count, seed, step in ((800, 0, made.fit), (160, 1, made.evaluate)):
            x, y, weights = copies(count, seed)
            result = step(x, y, sample_weight=weights, **options)
        # Half of the weights are zero, but count in the mean.
        losses[stateful] = 2 * result
    assert losses[True] < 0.1
    # Guessing gives log(6) = 1.79; tokens already seen in the segment are less likely.
    assert losses[False] > 1.4
