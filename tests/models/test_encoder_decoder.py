"""The encoder-decoder model: padding, training, files, generation."""

import itertools

import keras
import numpy as np
import pytest

from keras_twa.layers import DotProductAttention
from keras_twa.models import EncoderDecoder
from keras_twa.testing import harness

BACKEND = keras.backend.backend()
SMALL = {
    "source_vocabulary_size": 9,
    "target_vocabulary_size": 7,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
    "dropout": 0.0,
    "max_length": 12,
}
SOURCE = np.array([[3, 1, 4, 0, 0], [5, 8, 2, 6, 5], [3, 5, 0, 0, 0]], "int32")
TARGET = np.array([[1, 5, 4, 0], [1, 3, 3, 6], [1, 2, 0, 0]], "int32")
START, END = 1, 2
GROUPED = DotProductAttention(2, 4, num_key_value_heads=1, positions="alibi")


def model(scale=0.4, **options):
    """Return a built model with random weights."""
    made = EncoderDecoder(**{**SMALL, **options})
    made.build({"source": (None, 5), "target": (None, 4)})
    harness.randomise(made, scale=scale)
    return made


def logits(made, source=SOURCE, target=TARGET):
    """Return the logits as NumPy."""
    return harness.to_numpy(made({"source": source, "target": target}))


def log_probabilities(made, source, target):
    """Return the logarithm of the probability of each token, without padding's."""
    found = logits(made, source, target).astype("float64")
    return found - np.log(np.exp(found).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("tie_embeddings", [False, True])
def test_padding_and_future_change_nothing(positions, tie_embeddings):
    made = model(positions=positions, tie_embeddings=tie_embeddings)
    source, target = (np.pad(x, [(0, 0), (0, 3)]) for x in (SOURCE, TARGET))
    want, real = logits(made), TARGET != 0
    got = logits(made, source, target)[:, :4]
    harness.assert_close(got[real], want[real], "logits", 1e-5)
    other = TARGET.copy()
    other[:, 3] = 4
    got = logits(made, target=other)
    harness.assert_close(got[:, :3][real[:, :3]], want[:, :3][real[:, :3]], "the past")
    assert np.abs(logits(made, source=SOURCE[::-1]) - want).max() > 1e-2


def test_equals_its_parts():
    made = model(num_layers=1, tie_embeddings=True)
    table = harness.to_numpy(made.target_embedding.embeddings.value)
    encoded, real = made.encode(SOURCE)
    x = made.target_positions(table[TARGET] * 8**0.5)
    x = made.decoder_blocks[0](
        x, encoded, decoder_padding_mask=TARGET != 0, encoder_padding_mask=real
    )
    want = harness.to_numpy(made.decoder_norm(x)) @ table.T
    harness.assert_close(logits(made), want, "logits", 1e-5)


@pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.full)]
)
def test_fits_saves_and_loads(dtype, tmp_path):
    made = EncoderDecoder(
        **SMALL,
        encoder_attention="lsh",
        decoder_attention="retention",
        cross_attention="temporal_weighted",
        activation="geglu",
        dtype=dtype,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    made.compile(keras.optimizers.Adam(0.01), loss)
    x = {"source": SOURCE, "target": TARGET}
    y = np.roll(TARGET, -1, axis=1) * [1, 1, 1, 0]
    losses = made.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert logits(made).dtype == "float32"
    harness.assert_close(logits(loaded), logits(made), "logits", 1e-6)
    assert loaded.get_config() == made.get_config()
    want, got = (
        model.generate(SOURCE, 5, np.int64(START), END, beam_size=3)
        for model in (made, loaded)
    )
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "options",
    [
        {},
        *(
            pytest.param(options, marks=pytest.mark.full)
            for options in (
                {"positions": "learned", "normalize_first": False},
                {"decoder_attention": "local", "tie_embeddings": True},
                {"positions": "rotary"},
            )
        ),
        {"decoder_attention": "linear", "cross_attention": "multi_timescale"},
        {"decoder_attention": GROUPED, "positions": None, "num_layers": 2},
    ],
)
def test_greedy_equals_the_whole_forward_pass(options):
    made = model(scale=0.7, **options)
    got = made.generate(SOURCE, max_length=6, start_token=START, end_token=END)
    assert isinstance(got, np.ndarray)
    for source, found in zip(SOURCE, got, strict=True):
        target = [START]
        while len(target) <= 6 and target[-1] != END:
            scores = logits(made, source[None], np.array([target]))[0, -1].copy()
            scores[0] = -np.inf
            target.append(int(scores.argmax()))
        assert found[found != 0].tolist() == target[1:]


def test_wide_beams_find_the_best_of_all():
    made = model(target_vocabulary_size=5, scale=0.6)
    inner = (1, 3, 4)
    every = [(*x, END) for n in range(3) for x in itertools.product(inner, repeat=n)]
    every += list(itertools.product(inner, repeat=3))
    longest = [(START, *x, *(0,) * (3 - len(x))) for x in every]
    for source in SOURCE:
        rows = np.repeat(source[None], len(every), axis=0)
        each = log_probabilities(made, rows, np.array(longest)[:, :3])
        scores = [
            sum(each[row, i, token] for i, token in enumerate(tokens))
            / ((5 + len(tokens)) / 6) ** 0.6
            for row, tokens in enumerate(every)
        ]
        got = made.generate(source[None], 3, START, END, beam_size=30)[0]
        assert tuple(got[got != 0].tolist()) == every[int(np.argmax(scores))]


def test_rows_do_not_disturb_one_another():
    made = model(scale=0.7)
    options = {"start_token": START, "end_token": END, "beam_size": 4}
    together = made.generate(SOURCE, 6, **options)
    for row, source in enumerate(SOURCE):
        alone = made.generate(source[None, source != 0], 6, **options)[0]
        found = together[row]
        assert found[found != 0].tolist() == alone[alone != 0].tolist()


def test_generates_with_the_weights_of_now():
    made, other = model(scale=0.7), model(scale=0.7)
    harness.randomise(other, seed=5, scale=0.7)
    before = made.generate(SOURCE, 6, START, END)
    made.set_weights(other.get_weights())
    after = made.generate(SOURCE, 6, START, END)
    np.testing.assert_array_equal(after, other.generate(SOURCE, 6, START, END))
    assert after.tolist() != before.tolist()


def test_steps_are_compiled_once_or_have_no_gradient(monkeypatch):
    made, found = model(target_vocabulary_size=40), []
    head = made._logits

    def seen(x):
        found.append(head(x))
        return found[-1]

    monkeypatch.setattr(made, "_logits", seen)
    made.generate(SOURCE, 6, START, END, beam_size=2)
    made.generate(SOURCE[::-1], 9, START, END, beam_size=2)
    assert not any(getattr(x, "requires_grad", False) for x in found)
    assert len(found) == 1 or BACKEND == "torch"


def test_encode_builds_the_whole_model():
    made = EncoderDecoder(**SMALL)
    encoded, real = made.encode(keras.ops.convert_to_tensor(SOURCE))
    assert tuple(encoded.shape) == (3, 5, 8)
    np.testing.assert_array_equal(harness.to_numpy(real), SOURCE != 0)
    assert logits(made).shape == (3, 4, 7)


def test_in_a_functional_model_and_in_half_precision():
    made = EncoderDecoder(**SMALL, dtype="mixed_bfloat16")
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("source", "target")
    }
    outputs = made(inputs)
    assert outputs.shape == (None, None, 7)
    assert outputs.dtype == logits(made).dtype == "float32"


@pytest.mark.parametrize(
    "inputs",
    [(SOURCE, TARGET), SOURCE, {"source": SOURCE}, {"source": SOURCE, "goal": TARGET}],
)
@pytest.mark.parametrize("built", [False, True])
def test_refuses_bad_inputs(inputs, built):
    made = model() if built else EncoderDecoder(**SMALL)
    with pytest.raises(ValueError, match="Received: inputs="):
        made(inputs)


@pytest.mark.parametrize(
    "options",
    [
        {"source_vocabulary_size": 0},
        {"target_vocabulary_size": -1},
        {"num_layers": 0},
        {"embedding_dim": 0},
        {"num_heads": 3},
        {"dropout": 1.0},
        {"max_length": 0},
        {"positions": "learnt"},
        {"cross_attention": "retention"},
        {"decoder_attention": "gravitatonal"},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        made = EncoderDecoder(**{**SMALL, **options})
        made.build({"source": (None, 6), "target": (None, 5)})


@pytest.mark.parametrize(
    "options",
    [
        {"beam_size": 0},
        {"max_length": 0},
        {"max_length": 13},
        {"start_token": 0},
        {"start_token": True},
        {"end_token": 7},
        {"length_penalty": -0.5},
        {"length_penalty": float("inf")},
        {"source": SOURCE[0]},
        {"source": SOURCE[:, :0]},
        {"source": SOURCE.astype("float32")},
        {"source": np.where(SOURCE == 8, 9, SOURCE)},
        {"source": -SOURCE},
        {"source": np.ones((1, 13), "int32")},
    ],
)
def test_refuses_bad_generation(options):
    made = EncoderDecoder(**SMALL, positions="learned")
    given = {"source": SOURCE, "max_length": 4, "start_token": 1, "end_token": 2}
    with pytest.raises(ValueError, match="Received:"):
        made.generate(**{**given, **options})
