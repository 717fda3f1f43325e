"""The sequence classifier: padding, pooling, files."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.models import EncoderClassifier
from keras_twa.testing import harness
from keras_twa.testing.checks import small_tokens
from tests.few import a_few

# JAX and TensorFlow compile each of these anew, and contract tests fit each layer.
OTHERS = "full" if keras.backend.backend() == "torch" else "slow"
NAMES = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS]
CAUSAL = [
    layers.name_of(layer)
    for layer in layers.ATTENTION_LAYERS
    if layer.causality == "always"
]
SMALL = {
    "vocabulary_size": 9,
    "num_classes": 3,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
    "dropout": 0.0,
    "max_length": 12,
}
TOKENS = small_tokens()


def classifier(**options):
    """Return a built classifier with random weights."""
    model = EncoderClassifier(**{**SMALL, **options})
    model(TOKENS)
    harness.randomise(model, scale=0.2)
    return model


def logits(model, tokens):
    """Return the logits as NumPy."""
    return harness.to_numpy(model(tokens))


@pytest.mark.parametrize("name", a_few(NAMES))
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_changes_nothing(name, pooling):
    if pooling == "cls" and name in CAUSAL:
        with pytest.raises(ValueError, match="Received: pooling='cls'"):
            classifier(attention=name, pooling=pooling)
        return
    model = classifier(attention=name, pooling=pooling, positions="learned")
    padded = np.pad(TOKENS, [(0, 0), (0, 5)])
    harness.assert_close(logits(model, padded), logits(model, TOKENS), "logits", 1e-5)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5", "shaw"])
def test_positions_inside_of_attention(positions, tmp_path):
    model = classifier(positions=positions, pooling="cls")
    want = logits(model, TOKENS)
    padded = np.pad(TOKENS, [(0, 0), (0, 5)])
    harness.assert_close(logits(model, padded), want, "padded", 1e-5)
    order = np.abs(logits(model, TOKENS[:, ::-1].copy()) - want).max()
    assert order > 1e-3, "the order of the tokens changes nothing"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(logits(loaded, TOKENS), want, "loaded", 1e-6)
    assert loaded.blocks[0].attention_layer.get_config()["positions"] == positions


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_equals_its_parts(pooling, positions):
    model = classifier(pooling=pooling, positions=positions, num_layers=1)
    x = harness.to_numpy(model.embedding(TOKENS))
    real = TOKENS != 0
    if pooling == "cls":
        (token,) = [v for v in model.weights if v.path.endswith("class_token")]
        first = np.broadcast_to(harness.to_numpy(token.value), (len(x), 1, 8))
        x = np.concatenate([first, x], axis=1)
        real = np.concatenate([np.ones((len(x), 1), bool), real], axis=1)
    x = harness.to_numpy(model.positions(x))
    x = harness.to_numpy(model.blocks[0](x, padding_mask=real))
    x = harness.to_numpy(model.final_norm(x))
    if pooling == "cls":
        pooled = x[:, 0]
    else:
        pooled = np.stack(
            [row[keep].mean(0) for row, keep in zip(x, real, strict=True)]
        )
    want = harness.to_numpy(model.head(model.hidden(pooled)))
    harness.assert_close(logits(model, TOKENS), want, "logits", 1e-5)


def test_a_sequence_of_padding_alone_is_finite():
    for pooling in ("mean", "cls"):
        got = logits(classifier(pooling=pooling), np.zeros((1, 4), "int32"))
        assert np.isfinite(got).all()


@pytest.mark.parametrize("name", a_few(NAMES, others=OTHERS, always=("retention",)))
def test_fits_saves_and_loads(name, tmp_path):
    pooling = "mean" if name in CAUSAL else "cls"
    model = EncoderClassifier(**SMALL, attention=name, pooling=pooling)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(TOKENS, np.arange(len(TOKENS)) % 3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(logits(loaded, TOKENS), logits(model, TOKENS), "logits", 1e-6)
    assert loaded.get_config() == model.get_config()


def test_every_block_takes_a_copy_of_a_layer(tmp_path):
    given = layers.LocalAttention(num_heads=2, key_dim=3, window=2, name="attention")
    model = classifier(attention=given)
    taken = [block.attention_layer for block in model.blocks]
    assert not given.built
    assert taken[0] is not taken[1]
    assert [(layer.window, layer.key_dim) for layer in taken] == [(2, 3), (2, 3)]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(logits(loaded, TOKENS), logits(model, TOKENS), "logits", 1e-6)
    assert loaded.get_config() == model.get_config()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_attention_scores(pooling):
    model = classifier(attention="multi_timescale", pooling=pooling)
    length = TOKENS.shape[1] + (pooling == "cls")
    found = model.attention_scores(TOKENS)
    assert len(found) == 2
    real = TOKENS != 0
    if pooling == "cls":
        real = np.concatenate([np.ones((len(real), 1), bool), real], axis=1)
    for scores in found:
        assert isinstance(scores, np.ndarray)
        assert scores.shape == (len(TOKENS), 6, length, length)
        sums = scores.sum(-1)
        seen = np.broadcast_to(real[:, None], sums.shape)
        harness.assert_close(sums, seen.astype("float32"), "sums of weights", 1e-5)
        hidden = np.broadcast_to(~real[:, None, None], scores.shape)
        assert not scores[hidden].any()


def test_attention_scores_build_the_model():
    found = EncoderClassifier(**SMALL, pooling="cls").attention_scores(TOKENS)
    assert found[0].shape[-1] == TOKENS.shape[1] + 1


def test_logits_are_float32_under_a_mixed_policy():
    model = EncoderClassifier(**SMALL, dtype="mixed_bfloat16")
    symbolic = model(keras.Input((None,), dtype="int32"))
    assert (symbolic.shape, symbolic.dtype) == ((None, 3), "float32")
    output = model(TOKENS)
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    exact = EncoderClassifier(**SMALL)
    exact(TOKENS)
    exact.set_weights(model.get_weights())
    assert np.abs(logits(exact, TOKENS) - logits(model, TOKENS)).max() < 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"vocabulary_size": 0},
        {"num_classes": 0},
        {"num_layers": 0},
        {"embedding_dim": 0},
        {"num_heads": 0},
        {"num_heads": 3},
        {"intermediate_dim": -1},
        {"dropout": 1.0},
        {"max_length": 0},
        {"positions": "learnt"},
        {"positions": "rotary", "num_heads": 3},
        {"positions": "rotary", "attention": "linear"},
        {"positions": "t5", "attention": "performer"},
        {"pooling": "max"},
        {"attention": "gravitatonal"},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        EncoderClassifier(**{**SMALL, **options}).build((None, 6))
