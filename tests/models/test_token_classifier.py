"""The token classifier: padding, and what counts in losses and metrics."""

import keras
import numpy as np
import pytest

from keras_twa.models import TokenClassifier
from keras_twa.testing import harness
from keras_twa.testing.checks import small_tokens

SMALL = {
    "vocabulary_size": 9,
    "num_classes": 3,
    "num_layers": 1,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
    "dropout": 0.0,
    "max_length": 12,
}
TOKENS = small_tokens()
LABELS = np.arange(TOKENS.size).reshape(TOKENS.shape) % 3


def classifier(**options):
    """Return a built classifier with random weights."""
    model = TokenClassifier(**{**SMALL, **options})
    model(TOKENS)
    harness.randomise(model, scale=0.3)
    return model


def compiled(model):
    """Return a model that can be fit and evaluated."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def logits(model, tokens):
    """Return the logits as NumPy."""
    return harness.to_numpy(model(tokens))


def test_equals_its_parts():
    model = classifier(positions="learned")
    x = model.positions(model.embedding(TOKENS))
    x = model.blocks[0](x, padding_mask=TOKENS != 0)
    want = harness.to_numpy(model.head(model.final_norm(x)))
    harness.assert_close(logits(model, TOKENS), want, "logits", 1e-5)


@pytest.mark.parametrize("attention", ["gravitational", "retention"])
def test_padding_changes_nothing(attention):
    model = classifier(attention=attention, positions=None)
    padded = np.pad(TOKENS, [(0, 0), (0, 4)])
    got = logits(model, padded)[:, : TOKENS.shape[1]][TOKENS != 0]
    harness.assert_close(got, logits(model, TOKENS)[TOKENS != 0], "logits", 1e-5)


def test_losses_and_metrics_leave_padding_out():
    model = compiled(classifier())
    assert (TOKENS == 0).any()
    real = logits(model, TOKENS)[TOKENS != 0].astype("float64")
    labels = LABELS[TOKENS != 0]
    right = np.take_along_axis(real, labels[:, None], axis=1)[:, 0]
    loss = (np.log(np.exp(real).sum(-1)) - right).mean()
    accuracy = (real.argmax(-1) == labels).mean()
    found = model.evaluate(TOKENS, LABELS, verbose=0)
    np.testing.assert_allclose(found, [loss, accuracy], rtol=1e-5)


def test_fits_saves_and_loads(tmp_path):
    model = compiled(TokenClassifier(**SMALL))
    history = model.fit(TOKENS, LABELS, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(logits(loaded, TOKENS), logits(model, TOKENS), "logits", 1e-6)
    assert loaded.get_config() == model.get_config()


def test_in_a_functional_model_and_in_half_precision():
    model = TokenClassifier(**SMALL, dtype="mixed_bfloat16")
    inputs = keras.Input((None,), dtype="int32")
    outputs = model(inputs)
    assert outputs.shape == (None, None, 3)
    got = keras.Model(inputs, outputs)(TOKENS)
    for x in (outputs, got):
        assert keras.backend.standardize_dtype(x.dtype) == "float32"


@pytest.mark.parametrize(
    "options",
    [
        {"vocabulary_size": 0},
        {"num_classes": 0},
        {"max_length": 0},
        {"positions": "learnt"},
        {"attention": "retentoin"},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        classifier(**options)
