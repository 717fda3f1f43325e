"""The encoder block, around every attention layer."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import timestamps
from tests.few import a_few

NAMES = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS]
WITH_PAIRS = [
    layers.name_of(layer) for layer in layers.ATTENTION_LAYERS if layer.pairwise_mask
]
IN_PARTS = [
    layers.name_of(layer) for layer in layers.ATTENTION_LAYERS if layer.prefix_invariant
]
X = normal(2, 7, 8, seed=1)


def block(attention="dot_product", **options):
    """Return a built block with random weights."""
    made = layers.TransformerEncoder(10, 2, attention=attention, **options)
    made.build(X.shape)
    harness.randomise(made, scale=0.3)
    return made


def value(tensor):
    """Return a tensor as NumPy."""
    return harness.to_numpy(tensor)


def normalise(x, norm):
    """Return layer normalisation in float64."""
    gamma, beta = (v.numpy() if hasattr(v, "numpy") else v for v in norm.get_weights())
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta


def feed_forward(x, weights):
    """Return the two dense layers with relu between them."""
    first, first_bias, second, second_bias = weights
    return np.maximum(x @ first + first_bias, 0) @ second + second_bias


@pytest.mark.parametrize("name", a_few(NAMES))
@pytest.mark.parametrize("normalize_first", [False, True])
def test_equals_its_formula(name, normalize_first):
    made = block(name, normalize_first=normalize_first)
    mask = lengths_mask([7, 4], 7)
    options = {"query_mask": mask, "value_mask": mask, "use_causal_mask": True}

    def attend(x):
        x = x.astype("float32")
        return value(made.attention_layer(x, x, **options)).astype("float64")

    x = X * mask[..., None]
    wide = made.feed_forward.get_weights()
    if normalize_first:
        x = x + attend(normalise(x, made.attention_norm))
        x = x + feed_forward(normalise(x, made.feed_forward_norm), wide)
    else:
        x = normalise(x + attend(x), made.attention_norm)
        x = normalise(x + feed_forward(x, wide), made.feed_forward_norm)
    got = value(made(X, padding_mask=mask, use_causal_mask=True))
    harness.assert_close(got[mask], x[mask], "output")


@pytest.mark.parametrize("name", a_few(WITH_PAIRS))
def test_hands_everything_to_the_attention(name):
    made = block(name)
    pairs = np.random.default_rng(0).random((2, 7, 7)) < 0.7
    times = timestamps(2, 7)
    _, scores = made(
        X, attention_mask=pairs, positions=times, return_attention_scores=True
    )
    want = made.attention_layer(
        X,
        X,
        attention_mask=pairs,
        query_positions=times,
        key_positions=times,
        return_attention_scores=True,
    )[1]
    harness.assert_close(value(scores), value(want), "scores", 1e-6)
    assert not value(scores)[~np.broadcast_to(pairs[:, None], scores.shape)].any()


@pytest.mark.parametrize(
    "name, feed_forward",
    [
        *a_few(((name, "dense") for name in IN_PARTS), lambda case: case[0]),
        ("rwkv", "channel_mixing"),
    ],
)
@pytest.mark.parametrize("normalize_first", [False, True])
def test_parts_equal_one_call(name, feed_forward, normalize_first):
    options = {"normalize_first": normalize_first, "feed_forward": feed_forward}
    made = block(name, **options)
    mask, times = ~lengths_mask([2, 0], 7), timestamps(2, 7)

    def arguments(first, end):
        """Return the steps `first ... end - 1` of the call."""
        options = {"padding_mask": mask[:, first:end], "use_causal_mask": True}
        return {**options, "positions": times[:, first:end]}

    whole = value(made(X, **arguments(0, 7)))
    got, state = [], None
    for first, end in ((0, 3), (3, 5)):
        options = {"initial_state": state, "return_state": True}
        output, state = made(X[:, first:end], **arguments(first, end), **options)
        got.append(value(output))
    for i in (5, 6):
        output, state = made.step(X[:, i], state, mask[:, i], times[:, i])
        got.append(value(output)[:, None])
    got = np.concatenate(got, axis=1)
    harness.assert_close(got[mask], whole[mask], "output", 1e-5)


def states_of_others(made):
    """Return states that do not fit a block with channel mixing."""
    state = made.initial_state(2)
    return {
        "another block": block("rwkv").initial_state(2),
        "its attention": state["attention"],
        "another attention": {**state, "attention": {"memory": np.zeros((2, 3))}},
        "another width": {**state, "feed_forward": np.zeros((2, 5), "float32")},
        "another batch": made.initial_state(3),
        "none": "none",
    }


def test_the_state_of_another_block_is_refused():
    made = block("rwkv", feed_forward="channel_mixing")
    for name, state in states_of_others(made).items():
        options = {"initial_state": state, "use_causal_mask": True}
        with pytest.raises(ValueError, match="Received:"):
            pytest.fail(f"{name} gives {made(X, **options)}")
        with pytest.raises(ValueError, match="Received:"):
            made.compute_output_spec(X, return_state=True, **options)


@pytest.mark.parametrize("feed_forward", ["dense", "channel_mixing"])
def test_states_have_the_stated_shapes(feed_forward):
    made = block("transformer_xl", feed_forward=feed_forward)
    options = {"use_causal_mask": True, "return_state": True}
    options["initial_state"] = made.initial_state(2)
    _, eager = made(X, **options)
    symbols = keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape), eager)
    _, spec = made.compute_output_spec(
        keras.KerasTensor(X.shape), **{**options, "initial_state": symbols}
    )
    keras.tree.assert_same_structure(spec, eager)
    for stated, found in zip(*map(keras.tree.flatten, (spec, eager)), strict=True):
        assert tuple(stated.shape) == tuple(found.shape)
    scores = {"return_attention_scores": True, **options}
    assert [len(made(X, **scores)), len(made.compute_output_spec(X, **scores))] == [
        3,
        3,
    ]


@pytest.mark.parametrize("poison", [1e9, np.nan])
@pytest.mark.parametrize("normalize_first", [False, True])
def test_padding_is_inert(poison, normalize_first):
    made = block("gravitational", normalize_first=normalize_first)
    mask = lengths_mask([7, 7], 10)
    padded = np.concatenate([X, np.full((2, 3, 8), poison, "float32")], axis=1)
    short = value(made(X))
    long = value(made(padded, padding_mask=mask))
    harness.assert_close(long[:, :7], short, "output", 1e-5)


def test_takes_the_mask_that_rides_on_its_input():
    embed = keras.layers.Embedding(9, 8, mask_zero=True)
    tokens = np.array([[1, 2, 3, 0], [4, 5, 0, 0]], "int32")
    made = block()
    x = embed(tokens)
    got = made(x)
    want = made(value(x), padding_mask=tokens != 0)
    real = tokens != 0
    harness.assert_close(value(got)[real], value(want)[real], "output", 1e-6)
    pooled = value(keras.layers.GlobalAveragePooling1D()(got))
    mean = np.stack(
        [row[keep].mean(0) for row, keep in zip(value(want), real, strict=True)]
    )
    harness.assert_close(pooled, mean, "masked mean", 1e-5)


@pytest.mark.parametrize("name", a_few(NAMES))
def test_saves_and_loads(name, tmp_path):
    inputs = keras.Input((None, 8))
    made = layers.TransformerEncoder(10, 2, attention=name, normalize_first=True)
    model = keras.Model(inputs, made(inputs))
    harness.randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(value(loaded(X)), value(model(X)), "output", 1e-6)
    assert loaded.layers[1].get_config() == made.get_config()


def test_saves_and_loads_around_a_layer(tmp_path):
    attention = layers.GravitationalAttention(3, 5, exponent=1.0, dropout=0.2)
    inputs = keras.Input((None, 8))
    made = layers.TransformerEncoder(10, 2, attention=attention)
    model = keras.Model(inputs, made(inputs))
    harness.randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(value(loaded(X)), value(model(X)), "output", 1e-6)
    again = loaded.layers[1].attention
    assert type(again) is layers.GravitationalAttention
    assert again.get_config() == attention.get_config()


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_symbolic_equals_eager(scored, dtype):
    made = block("multi_timescale", dtype=dtype)
    eager = made(X, return_attention_scores=scored)
    symbolic = made(keras.KerasTensor(X.shape), return_attention_scores=scored)
    pairs = zip(eager, symbolic, strict=True) if scored else [(eager, symbolic)]
    for true, claimed in pairs:
        assert tuple(true.shape) == tuple(claimed.shape)
        assert keras.backend.standardize_dtype(true.dtype) == claimed.dtype


def test_large_times_survive_half_precision():
    times = 1e6 + np.array([0, 3, 9, 10, 40, 41, 60], "float32")
    exact = block("multi_timescale")
    half = block("multi_timescale", dtype="mixed_bfloat16")
    for name, variable in harness.weight_names(half).items():
        variable.assign(harness.weight_names(exact)[name].value)
    options = {"positions": times, "return_attention_scores": True}
    want, got = value(exact(X, **options)[1]), value(half(X, **options)[1])
    assert np.abs(want - got).max() < 2e-2


def test_dropout_acts_in_training_only():
    made = block(dropout=0.5)
    rest = value(made(X))
    harness.assert_close(value(made(X, training=False)), rest, "output", 1e-6)
    assert np.abs(value(made(X, training=True)) - rest).max() > 1e-2


@pytest.mark.parametrize(
    "options",
    [
        {"intermediate_dim": 0},
        {"num_heads": 0},
        {"num_heads": 3},
        {"dropout": 1.5},
        {"attention": "gravitatonal"},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.TransformerEncoder(
            **{"intermediate_dim": 8, "num_heads": 2, **options}
        ).build((2, 7, 8))


@pytest.mark.parametrize(
    "options",
    [
        {"padding_mask": np.ones((2, 6), bool)},
        {"attention_mask": np.ones((2, 7, 6), bool)},
        {"positions": np.zeros(6)},
    ],
)
def test_refuses_bad_calls(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.TransformerEncoder(8, 2)(X, **options)


def test_has_no_state_before_it_is_built():
    with pytest.raises(ValueError, match=r"Received: .* not built"):
        layers.TransformerEncoder(8, 2).initial_state(2)


def test_takes_attention_of_keras(tmp_path):
    ours = block(layers.DotProductAttention(2, 3, name="attention"))
    theirs = block(keras.layers.MultiHeadAttention(2, 3, name="attention"))
    harness.copy_weights(ours, theirs)
    mask = lengths_mask([7, 4], 7)
    options = {"padding_mask": mask, "use_causal_mask": True}
    got, want = value(theirs(X, **options)), value(ours(X, **options))
    harness.assert_close(got[mask], want[mask], "output", 1e-5)
    scored = theirs(keras.KerasTensor(X.shape), return_attention_scores=True)
    assert [tuple(x.shape) for x in scored] == [X.shape, (2, 2, 7, 7)]
    inputs = keras.Input((None, 8))
    attention = keras.layers.MultiHeadAttention(2, 3)
    outputs = layers.TransformerEncoder(10, 2, attention)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(X, X, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    harness.assert_close(value(loaded(X)), value(model(X)), "output", 1e-6)
