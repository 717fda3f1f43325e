"""The language model: causal, in parts, and what it generates."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.models import CausalLM
from keras_twa.models import Sample
from keras_twa.testing import harness
from tests.few import a_few

BACKEND = keras.backend.backend()
SMALL = {
    "vocabulary_size": 9,
    "num_layers": 1,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 10,
    "dropout": 0.0,
    "max_length": 20,
}
# So that a short text has more than one window, or block.
OPTIONS = {
    "local": {"window": 3},
    "sparse": {"block_size": 2, "num_random_blocks": 1},
    "block_recurrent": {"block_size": 3, "num_states": 2},
    "transformer_xl": {"memory_length": 20},
}
NAMES = [
    layers.name_of(layer)
    for layer in layers.ATTENTION_LAYERS
    if layer.prefix_invariant and layer.causality != "never"
]
# JAX and TensorFlow take a second to compile each.
FEW = "dot_product", "temporal_weighted", "local", "linear", "retention", "sparse"
GENERATED = NAMES if BACKEND == "torch" else [*FEW, "rwkv", "gated_delta"]
PROMPTS = [[5, 1, 2, 8], [3], [7, 7, 4, 1, 2, 6, 6]]
TOKENS = np.random.default_rng(0).integers(1, 9, (2, 7)).astype("int32")


def attention(name):
    """Return an attention layer that short texts can exercise."""
    return layers.get(name, num_heads=2, key_dim=4, **OPTIONS.get(name, {}))


def model(**options):
    """Return a built model with random weights."""
    made = CausalLM(**{**SMALL, **options})
    made.build((None, None))
    harness.randomise(made, scale=0.5)
    return made


def logits(made, tokens, **options):
    """Return the logits as NumPy."""
    return harness.to_numpy(made(tokens, **options))


def assert_likeliest(made, prompts, texts):
    """Assert that each new token is the likeliest in one pass over the whole text."""
    tokens = np.zeros((len(texts), 20), "int32")
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    best = 1 + logits(made, tokens)[:, :, 1:].argmax(-1)
    for row, prompt, text in zip(best, prompts, texts, strict=True):
        assert text[: len(prompt)] == prompt
        assert text[len(prompt) :] == row[len(prompt) - 1 : len(text) - 1].tolist()


@pytest.mark.parametrize("name", a_few(GENERATED))
def test_generates_what_whole_passes_find(name):
    made = model(attention=attention(name))
    texts = made.generate(PROMPTS, max_new_tokens=6)
    assert [len(text) for text in texts] == [10, 7, 13]
    assert_likeliest(made, PROMPTS, texts)


@pytest.mark.parametrize("positions", ["learned", None, "rotary", "alibi"])
def test_generates_with_other_positions(positions):
    made = model(positions=positions, num_layers=2)
    assert_likeliest(made, PROMPTS, made.generate(PROMPTS, max_new_tokens=6))


def test_a_row_generates_what_it_does_alone():
    # Which blocks it sees depends on the number of its own.
    made = model(attention=attention("sparse"))
    together = made.generate(PROMPTS, max_new_tokens=5)
    assert together == [made.generate([x], max_new_tokens=5)[0] for x in PROMPTS]


def test_arrays_of_prompts_are_padded_with_0_on_either_side():
    made = model()
    array = np.array([[0, 0, 5, 1], [3, 2, 0, 0]])
    assert made.generate(array, 3) == made.generate([[5, 1], [3, 2]], 3)


def test_texts_end_with_stop_tokens():
    made = model()
    free = made.generate(PROMPTS, max_new_tokens=8)
    stop = free[0][6]
    want = []
    for prompt, text in zip(PROMPTS, free, strict=True):
        new = text[len(prompt) :]
        want.append(prompt + new[: new.index(stop) + 1 if stop in new else None])
    assert len(want[0]) <= 7
    for given in ([stop], stop):
        assert made.generate(PROMPTS, max_new_tokens=8, stop_tokens=given) == want


def test_stops_when_all_rows_have(monkeypatch):
    made, steps = model(), []

    def choose(logits, seed):
        steps.append(1)
        return np.full(len(logits), 4)

    assert made.generate([[1], [2]], 50, choose, stop_tokens=[4]) == [[1, 4], [2, 4]]
    assert len(steps) == 1


def test_padding_is_never_generated():
    made = model()
    bias = np.zeros(9, "float32")
    bias[0] = 100.0
    made.head.bias.assign(bias)
    for sampler in ("greedy", "sample"):
        texts = made.generate(PROMPTS, 4, sampler, seed=1)
        assert all(token != 0 for text in texts for token in text)


def test_samples_are_reproducible():
    made = model()
    sampler = Sample(temperature=2.0, top_k=5)
    first = made.generate(PROMPTS, 9, sampler, seed=3)
    assert made.generate(PROMPTS, 9, sampler, seed=3) == first
    assert made.generate(PROMPTS, 9, sampler, seed=4) != first
    assert made.generate(PROMPTS, 9, Sample(top_k=1)) == made.generate(PROMPTS, 9)


def test_generates_with_the_weights_of_now():
    made, other = model(), model()
    harness.randomise(other, seed=5)
    before = made.generate(PROMPTS, 6)
    made.set_weights(other.get_weights())
    after = made.generate(PROMPTS, 6)
    assert after == other.generate(PROMPTS, 6)
    assert after != before


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing here")
def test_steps_are_compiled_once(monkeypatch):
    made, traces = model(), []
    read = made._read

    def counted(*arguments):
        traces.append(1)
        return read(*arguments)

    monkeypatch.setattr(made, "_read", counted)
    made.generate([[1, 2, 3], [4, 5, 6, 7]], 6)
    # Two tokens, and one: of the prompts, and then of each step.
    assert len(traces) == 2
    for prompts in ([[3, 2, 1], [1, 1, 1]], [[1, 2], [3, 4]], [[5], [6]]):
        made.generate(prompts, 9)
    assert len(traces) == 2
    made.generate([[1, 2, 3, 4, 5, 6, 7]] * 2, 9)
    assert len(traces) == 3


def test_a_state_builds_the_model():
    made = CausalLM(**SMALL)
    found, _ = made(TOKENS, initial_state=made.initial_state(2), return_state=True)
    harness.assert_close(harness.to_numpy(found), logits(made, TOKENS), "logits", 1e-5)


@pytest.mark.parametrize("state", [{}, [], {"blocks": [], "count": 0}])
def test_refuses_other_states(state):
    with pytest.raises(ValueError, match=r"`initial_state` must.*Received:"):
        model()(TOKENS, initial_state=state)


@pytest.mark.parametrize(
    "name, positions", [("dot_product", "learned"), ("retention", "sinusoidal")]
)
def test_parts_equal_one_call(name, positions):
    made = model(attention=attention(name), positions=positions, num_layers=2)
    whole = logits(made, TOKENS)
    for state in (None, made.initial_state(2), made.initial_state(2, max_length=9)):
        parts = []
        for part in np.split(TOKENS, [3, 4], axis=1):
            part, state = made(part, initial_state=state, return_state=True)
            parts.append(harness.to_numpy(part))
        harness.assert_close(np.concatenate(parts, 1), whole, "logits", 1e-5)


def test_later_tokens_and_padding_change_nothing():
    made = model(num_layers=2)
    want = logits(made, TOKENS)
    other = np.concatenate([TOKENS[:, :4], 9 - TOKENS[:, 4:]], axis=1)
    harness.assert_close(logits(made, other)[:, :4], want[:, :4], "logits", 1e-6)
    padded = np.pad(TOKENS, [(0, 0), (0, 3)])
    harness.assert_close(logits(made, padded)[:, :7], want, "logits", 1e-5)


def test_fits_saves_and_loads(tmp_path):
    made = CausalLM(**{**SMALL, "dropout": 0.1}, attention=attention("local"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    made.compile("adam", loss)
    history = made.fit(TOKENS[:, :-1], TOKENS[:, 1:], verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    texts = made.generate(PROMPTS, 6)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == made.get_config()
    assert loaded.blocks[0].attention_layer.window == 3
    assert loaded.generate(PROMPTS, 6) == texts


def test_training_with_lsh_and_without_generation():
    made = model(attention=attention("lsh"))
    assert np.isfinite(logits(made, TOKENS)).all()
    with pytest.raises(ValueError, match=r"LSHAttention has no states.*Received:"):
        made.generate(PROMPTS, 1)


def test_refuses_attention_that_cannot_be_causal():
    class NeverCausal(layers.DotProductAttention):
        causality = "never"

    keras.saving.register_keras_serializable("tests")(NeverCausal)
    with pytest.raises(ValueError, match="NeverCausal cannot be causal"):
        model(attention=NeverCausal(2, 4))


def test_in_a_functional_model_and_in_half_precision():
    made = CausalLM(**SMALL, dtype="mixed_bfloat16")
    inputs = keras.Input((None,), dtype="int32")
    outputs, state = made(inputs, return_state=True)
    assert outputs.shape == (None, None, 9)
    assert len(state["blocks"]) == 1
    whole = keras.Model(inputs, outputs)
    got = whole(TOKENS)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    assert tuple(got.shape) == (2, 7, 9)
    assert [len(text) for text in made.generate(PROMPTS, 3)] == [7, 4, 10]


@pytest.mark.parametrize(
    "options",
    [
        {"vocabulary_size": 0},
        {"num_layers": 0},
        {"embedding_dim": -1},
        {"max_length": 0},
        {"positions": "rotory"},
        {"attention": "linear", "positions": "rotary"},
        {"attention": "dot_produkt"},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        model(**options)


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompts": []},
        {"prompts": [[1], []]},
        {"prompts": [1, 2]},
        {"prompts": [[1, 9]]},
        {"prompts": [[1, 0, 2]]},
        {"prompts": [[-1]]},
        {"prompts": [[1.5]]},
        {"prompts": np.zeros((2, 3), "int32")},
        {"prompts": np.array([1, 2])},
        {"prompts": [[1] * 15]},
        {"max_new_tokens": 0},
        {"max_new_tokens": 2.0},
        {"sampler": "beam"},
        {"stop_tokens": [9]},
        {"stop_tokens": [0]},
        {"stop_tokens": 9},
        {"stop_tokens": True},
    ],
)
def test_refuses_bad_requests(arguments):
    made = CausalLM(**SMALL, positions="learned")
    with pytest.raises(ValueError, match="Received:"):
        made.generate(**{"prompts": PROMPTS, "max_new_tokens": 6, **arguments})
    assert not made.built
