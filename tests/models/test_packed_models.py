"""Models on packed rows: each sequence has the logits that it has alone."""

import keras
import numpy as np
import pytest

from keras_twa import datasets
from keras_twa import layers
from keras_twa.models import CausalLM
from keras_twa.models import EncoderClassifier
from keras_twa.models import TokenClassifier
from keras_twa.models import parts
from keras_twa.testing import harness
from keras_twa.training import MaskedCrossentropy
from tests.few import a_few

# JAX and TensorFlow compile each of these anew.
OTHERS = "full" if keras.backend.backend() == "torch" else "slow"
# With XLA and without, where that is a choice.
COMPILED = [False, True] if keras.backend.backend() == "tensorflow" else ["auto"]
PACKING = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS if layer.packs]
CAUSAL = [
    layers.name_of(layer)
    for layer in layers.ATTENTION_LAYERS
    if layer.packs and layer.causality != "never"
]
SMALL = {
    "vocabulary_size": 9,
    "num_layers": 2,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
    "dropout": 0.0,
    "max_length": 12,
}
CLASSIFIER = {**SMALL, "num_classes": 3, "max_segments": 4}
RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(1, 9, size) for size in (7, 2, 5, 1, 4, 9, 3)]
CLASSES = np.array([1, 0, 2, 2, 1, 0, 1])
PACKED = datasets.pack(TEXTS, 12, max_segments=4)


def built(model_class, **options):
    """Return a built model with random weights."""
    made = model_class(**options)
    made.build((None, 12))
    harness.randomise(made, scale=0.4)
    return made


def logits(made, inputs):
    """Return the logits as NumPy."""
    return harness.to_numpy(made(inputs))


def places():
    """Return each text, and the place of its tokens in the packed rows."""
    for text, row, segment in zip(TEXTS, PACKED.row_of, PACKED.segment_of, strict=True):
        yield text, (row, np.flatnonzero(PACKED.segment_ids[row] == segment))


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        *a_few([(name, "sinusoidal") for name in CAUSAL], lambda case: case[0], OTHERS),
        *(("dot_product", kind) for kind in ("learned", "rotary", "alibi", None)),
    ],
)
def test_a_language_model_reads_each_text_alone(name, positions):
    made = built(CausalLM, attention=name, **{**SMALL, "positions": positions})
    packed = logits(made, PACKED.inputs)
    for text, place in places():
        alone = logits(made, text[None].astype("int32"))
        harness.assert_close(packed[place], alone[0], f"text {text}", 1e-5)


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        *a_few(
            [(name, "sinusoidal") for name in PACKING], lambda case: case[0], OTHERS
        ),
        *(("dot_product", kind) for kind in ("learned", "t5", None)),
    ],
)
def test_a_classifier_reads_each_text_alone(name, positions):
    made = built(EncoderClassifier, attention=name, positions=positions, **CLASSIFIER)
    found = logits(made, PACKED.inputs)
    assert found.shape == (len(PACKED.tokens), 4, 3)
    alone = [logits(made, text[None].astype("int32"))[0] for text in TEXTS]
    harness.assert_close(PACKED.unpack(found), np.stack(alone), "logits", 1e-5)


def test_a_tagger_reads_each_text_alone():
    options = {**SMALL, "num_classes": 3}
    made = built(TokenClassifier, attention="temporal_weighted", **options)
    packed = logits(made, PACKED.inputs)
    for text, place in places():
        alone = logits(made, text[None].astype("int32"))
        harness.assert_close(packed[place], alone[0], f"text {text}", 1e-5)
    # The mask on the logits hides padding from the loss.
    made.compile("sgd", MaskedCrossentropy(padding_token=-1))
    tags = PACKED.tokens % 3
    loss = made.evaluate(PACKED.inputs, tags, verbose=0)
    tags = np.where(PACKED.segment_ids == 0, 7, tags)
    assert made.evaluate(PACKED.inputs, tags, verbose=0) == pytest.approx(loss)


def test_the_loss_of_packed_texts_is_that_of_the_texts():
    made = built(CausalLM, **SMALL)
    made.compile("sgd", MaskedCrossentropy())
    targets, weights = datasets.next_tokens(PACKED.tokens, PACKED.segment_ids)
    packed = made.evaluate(PACKED.inputs, targets, batch_size=8, verbose=0)
    weighted = made.evaluate(
        PACKED.inputs, targets, batch_size=8, sample_weight=weights, verbose=0
    )
    padded = np.zeros((len(TEXTS), 10), "int32")
    for row, text in zip(padded, TEXTS, strict=True):
        row[: len(text)] = text
    alone = made.evaluate(padded[:, :-1], padded[:, 1:], batch_size=8, verbose=0)
    np.testing.assert_allclose([packed, weighted], alone, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", COMPILED)
def test_a_language_model_trains_saves_and_loads(jit_compile, tmp_path):
    keras.utils.set_random_seed(0)
    made = CausalLM(**{**SMALL, "num_layers": 1}, attention="temporal_weighted")
    adam = keras.optimizers.Adam(0.01)
    made.compile(adam, MaskedCrossentropy(), jit_compile=jit_compile)
    targets, _ = datasets.next_tokens(PACKED.tokens, PACKED.segment_ids)
    history = made.fit(PACKED.inputs, targets, epochs=20, batch_size=2, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    want = made.predict(PACKED.inputs, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    got = loaded.predict(PACKED.inputs, verbose=0)
    harness.assert_close(got, want, "logits", 1e-6)
    # The same model reads rows that are not packed, and generates.
    assert logits(loaded, PACKED.tokens).shape == want.shape
    assert len(loaded.generate([[3, 1]], 2)[0]) == 4


@pytest.mark.parametrize("jit_compile", COMPILED)
def test_a_classifier_trains_saves_and_loads(jit_compile, tmp_path):
    keras.utils.set_random_seed(0)
    made = EncoderClassifier(**{**CLASSIFIER, "num_layers": 1}, attention="local")
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    made.compile(
        keras.optimizers.Adam(0.01),
        loss,
        weighted_metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    labels, weights = PACKED.labels(CLASSES, max_segments=4)
    options = {"sample_weight": weights, "batch_size": 2, "verbose": 0}
    history = made.fit(PACKED.inputs, labels, epochs=40, **options).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    found = PACKED.unpack(made.predict(PACKED.inputs, verbose=0))
    assert (found.argmax(-1) == CLASSES).mean() > 0.8
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == made.get_config()
    again = PACKED.unpack(loaded.predict(PACKED.inputs, verbose=0))
    harness.assert_close(again, found, "logits", 1e-6)
    alone = np.zeros((1, 12), "int32")
    alone[0, : len(TEXTS[0])] = TEXTS[0]
    one = loaded.predict(alone, verbose=0)
    harness.assert_close(one[0], found[0], "one row that is not packed", 1e-5)


def test_places_without_a_segment_have_no_gradient():
    made = built(EncoderClassifier, **CLASSIFIER)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    labels, weights = PACKED.labels(CLASSES, max_segments=4)
    assert not weights.all()
    found = []
    for other in (0, 2):
        keras.utils.set_random_seed(0)
        copy = keras.models.clone_model(made)
        copy.set_weights(made.get_weights())
        copy.compile("sgd", loss)
        changed = np.where(weights > 0, labels, other)
        copy.train_on_batch(PACKED.inputs, changed, sample_weight=weights)
        found.append(copy.get_weights())
    for one, other in zip(*found, strict=True):
        harness.assert_close(one, other, "weights", 1e-6)


def test_a_row_with_too_many_segments_is_never_right():
    made = built(EncoderClassifier, **{**CLASSIFIER, "max_segments": 2})
    inputs = {
        "tokens": np.array([[1, 2, 3, 4], [1, 2, 3, 4]], "int32"),
        "segment_ids": np.array([[1, 1, 2, 3], [2, 2, 5, 5]], "int32"),
    }
    if keras.backend.backend() != "torch":
        # Compiled, it cannot raise an error.
        found = made.predict(inputs, verbose=0)
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()
    with pytest.raises(ValueError, match="Received: a row of 3 segments"):
        made(inputs)


def test_numbers_that_are_not_finite_stay_in_their_segment():
    x = np.arange(12, dtype="float32").reshape(1, 6, 2)
    x[0, 1] = np.nan
    x[0, 5] = np.inf
    ids = np.array([[1, 1, 2, 2, 3, 0]], "int32")
    means = harness.to_numpy(parts.mean_of_segments(x, ids, 4))[0]
    assert np.isnan(means[0]).all()
    np.testing.assert_allclose(means[1:], [[5, 6], [8, 9], [0, 0]])


def test_segments_without_a_real_token_keep_their_places():
    made = built(EncoderClassifier, **CLASSIFIER)
    tokens = np.array([[5, 6, 0, 7, 8]], "int32")
    alone = [logits(made, np.array([one], "int32"))[0] for one in ([5, 6], [7, 8])]
    # A number that comes again, too, is a new segment.
    for ids in ([1, 1, 2, 3, 3], [1, 1, 2, 1, 1]):
        found = logits(made, {"tokens": tokens, "segment_ids": np.array([ids])})
        harness.assert_close(found[0, [0, 2]], np.stack(alone), f"{ids}", 1e-5)


def test_symbolic_inputs_and_shapes():
    inputs = {
        name: keras.Input((12,), dtype="int32", name=name)
        for name in ("tokens", "segment_ids")
    }
    for model_class, options, shape in (
        (CausalLM, SMALL, (None, 12, 9)),
        (EncoderClassifier, CLASSIFIER, (None, 4, 3)),
        (TokenClassifier, {**SMALL, "num_classes": 3}, (None, 12, 3)),
    ):
        made = model_class(**options)
        model = keras.Model(inputs, made(inputs))
        assert model.output_shape == shape
        found = model.predict(PACKED.inputs, verbose=0)
        harness.assert_close(found, logits(made, PACKED.inputs), "logits", 1e-5)


def test_logits_are_float32_under_a_mixed_policy():
    made = EncoderClassifier(**CLASSIFIER, dtype="mixed_bfloat16")
    found = made(PACKED.inputs)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    exact = EncoderClassifier(**CLASSIFIER)
    exact.build((None, 12))
    exact.set_weights(made.get_weights())
    harness.assert_close(
        harness.to_numpy(found), logits(exact, PACKED.inputs), "logits", 0.1
    )


def test_refuses_what_it_cannot_read():
    model = built(CausalLM, **SMALL)
    cls = built(EncoderClassifier, **CLASSIFIER, pooling="cls")
    plain = built(EncoderClassifier, **{**CLASSIFIER, "max_segments": None})
    tokens, ids = PACKED.tokens, PACKED.segment_ids
    state = model.initial_state(len(tokens))
    for call in (
        lambda: model({"tokens": tokens, "positions": PACKED.positions}),
        lambda: model({"segment_ids": ids}),
        lambda: model({"tokens": tokens, "segment_ids": ids[:, :5]}),
        lambda: model({"tokens": tokens, "segment_ids": ids.astype("float32")}),
        lambda: model(PACKED.inputs, initial_state=state),
        lambda: model(PACKED.inputs, return_state=True),
        lambda: cls(PACKED.inputs),
        lambda: plain(PACKED.inputs),
        lambda: EncoderClassifier(**{**CLASSIFIER, "max_segments": 0}),
    ):
        with pytest.raises(ValueError, match="Received:"):
            call()
