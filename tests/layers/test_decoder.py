"""The decoder block: self-attention, cross-attention, states."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import harness
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import timestamps
from tests.few import a_few

FULL = pytest.mark.full
CROSSING = [
    layers.name_of(layer) for layer in layers.ATTENTION_LAYERS if layer.cross_attention
]
X, SOURCE = normal(2, 7, 8, seed=1), normal(2, 5, 4, seed=2)
REAL, SOURCE_REAL = lengths_mask([7, 5], 7), lengths_mask([5, 3], 5)
TIMES, SOURCE_TIMES = timestamps(2, 7), timestamps(2, 5, seed=4)


def block(attention="dot_product", cross_attention="dot_product", **options):
    """Return a built block with random weights."""
    made = layers.TransformerDecoder(10, 2, attention, cross_attention, **options)
    made.build(X.shape, SOURCE.shape)
    harness.randomise(made, scale=0.3)
    return made


def value(tensor):
    """Return a tensor as NumPy."""
    return harness.to_numpy(tensor)


def call(**options):
    """Return the arguments of a call with all options."""
    return {
        "decoder_sequence": X,
        "encoder_sequence": SOURCE,
        "decoder_padding_mask": REAL,
        "encoder_padding_mask": SOURCE_REAL,
        "decoder_positions": TIMES,
        "encoder_positions": SOURCE_TIMES,
        **options,
    }


def without_source(call):
    """Return a call without the arguments that a state replaces."""
    return {name: x for name, x in call.items() if not name.startswith("encoder")}


def normalise(x, norm):
    """Return layer normalisation in float64."""
    gamma, beta = map(value, (norm.gamma.value, norm.beta.value))
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta


@pytest.mark.parametrize("name", a_few(CROSSING))
@pytest.mark.parametrize("normalize_first", [False, True])
def test_equals_its_parts(name, normalize_first):
    made = block("multi_timescale", name, normalize_first=normalize_first)
    shared = {"query_mask": REAL, "query_positions": TIMES}

    def attend(x):
        options = {"value_mask": REAL, "use_causal_mask": True, **shared}
        return value(made.self_attention_layer(x, x, **options))

    def cross(x):
        options = {"value_mask": SOURCE_REAL, "key_positions": SOURCE_TIMES, **shared}
        return value(made.cross_attention_layer(x, SOURCE, **options))

    def feed_forward(x):
        first, first_bias, second, second_bias = made.feed_forward.get_weights()
        return np.maximum(x @ first + first_bias, 0) @ second + second_bias

    want = X * REAL[..., None]
    for branch, norm in (
        (attend, made.self_attention_norm),
        (cross, made.cross_attention_norm),
        (feed_forward, made.feed_forward_norm),
    ):
        if normalize_first:
            want = want + branch(normalise(want, norm).astype("float32"))
        else:
            want = normalise(want + branch(want.astype("float32")), norm)
    got = value(made(**call()))
    harness.assert_close(got[REAL], want[REAL], "output")


def test_hands_everything_to_its_attentions():
    made = block("temporal_weighted", "gravitational", normalize_first=True)
    pairs, across = (np.random.default_rng(0).random((2, 7, n)) < 0.7 for n in (7, 5))
    _, own, other = made(
        **call(
            decoder_attention_mask=pairs,
            encoder_attention_mask=across,
            use_causal_mask=False,
            return_attention_scores=True,
        )
    )
    x = made.self_attention_norm(np.where(REAL[..., None], X, 0))
    want = made.self_attention_layer(
        x,
        query_mask=REAL,
        attention_mask=pairs,
        query_positions=TIMES,
        return_attention_scores=True,
    )[1]
    harness.assert_close(value(own), value(want), "scores", 1e-5)
    seen = across & REAL[..., None] & SOURCE_REAL[:, None]
    np.testing.assert_array_equal(value(other)[:, 0] > 0, seen)


@pytest.mark.parametrize("poison", [1e9, np.nan])
def test_padding_and_future_are_inert(poison):
    made = block("gravitational", "multi_timescale")
    want = value(made(**call()))
    padded = call(
        decoder_sequence=np.where(REAL[..., None], X, poison).astype("float32"),
        encoder_sequence=np.where(SOURCE_REAL[..., None], SOURCE, poison),
    )
    harness.assert_close(value(made(**padded))[REAL], want[REAL], "output", 1e-5)
    changed = X.copy()
    changed[:, 4:] += 1.0
    got = value(made(**call(decoder_sequence=changed)))
    harness.assert_close(got[:, :4], want[:, :4], "the past", 1e-5)
    assert np.abs(got - want)[REAL].max() > 1e-2


def test_takes_the_masks_that_ride_on_its_inputs():
    tokens = REAL * np.arange(1, 8), SOURCE_REAL * np.arange(2, 7)
    masked, plain = [], []
    for some, width in zip(tokens, (8, 4), strict=True):
        x = keras.layers.Embedding(9, width, mask_zero=True)(some.astype("int32"))
        masked.append(x)
        plain.append(value(x))
    for options in ({}, {"remat": True}):
        made = block(**options)
        masks = {"decoder_padding_mask": REAL, "encoder_padding_mask": SOURCE_REAL}
        want = value(made(*plain, **masks, training=True))
        got = value(made(*masked, training=True))
        harness.assert_close(got[REAL], want[REAL], "output", 1e-6)


# Cross-attention that uses the times of queries needs the time of each step.
@pytest.mark.parametrize(
    "attention, cross_attention, feed_forward",
    [
        ("dot_product", "linear", "dense"),
        ("retention", "multi_timescale", "dense"),
        pytest.param("transformer_xl", "transformer_xl", "dense", marks=FULL),
        ("rwkv", "temporal_weighted", "channel_mixing"),
        ("local", None, "channel_mixing"),
    ],
)
@pytest.mark.parametrize("timed", [pytest.param(False, marks=FULL), True])
def test_parts_equal_one_call(attention, cross_attention, feed_forward, timed):
    made = layers.TransformerDecoder(
        10, 2, attention, cross_attention or "dot_product", feed_forward=feed_forward
    )
    of_whole = call(decoder_padding_mask=~lengths_mask([2, 0], 7))
    if not timed:
        del of_whole["decoder_positions"], of_whole["encoder_positions"]
    if cross_attention is None:
        of_whole = without_source(of_whole)
    made(**of_whole)
    harness.randomise(made, scale=0.3)
    whole = value(made(**of_whole))
    rest = without_source(of_whole)
    source = {name: x for name, x in of_whole.items() if name not in rest}

    def part(call, first, end):
        """Return the steps `first ... end - 1` of a call."""
        cut = {name: x[:, first:end] for name, x in rest.items()}
        return {**call, **cut}

    first, state = made(**part(source, 0, 3), return_state=True)
    got = [value(first)]
    second, state = made(**part({}, 3, 5), initial_state=state, return_state=True)
    got.append(value(second))
    times = rest.get("decoder_positions")
    for i in (5, 6):
        time = None if times is None else times[:, i]
        mask = rest["decoder_padding_mask"][:, i]
        output, state = made.step(X[:, i], state, mask, time)
        got.append(value(output)[:, None])
    real = rest["decoder_padding_mask"]
    got = np.concatenate(got, axis=1)
    harness.assert_close(got[real], whole[real], "output", 1e-5)
    again = made.initial_state(2, max_length=7, **source)
    outputs, _ = made(**rest, initial_state=again, return_state=True)
    harness.assert_close(value(outputs)[real], whole[real], "with room", 1e-5)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("feed_forward", ["dense", "channel_mixing"])
def test_symbolic_equals_eager(given, feed_forward):
    made = block("linear", "gravitational", feed_forward=feed_forward)
    options = {"return_state": True}
    if given:
        options["initial_state"] = made(**call(), **options)[-1]
        options = {**without_source(call()), **options}
    else:
        options = call(**options)
    eager = made(**options)
    symbols = keras.tree.map_structure(
        lambda x: (
            keras.KerasTensor(x.shape, keras.backend.standardize_dtype(x.dtype))
            if hasattr(x, "shape")
            else x
        ),
        options,
    )
    for symbolic in (made(**symbols), made.compute_output_spec(**symbols)):
        keras.tree.assert_same_structure(symbolic, eager)
        pairs = zip(*map(keras.tree.flatten, (symbolic, eager)), strict=True)
        for stated, found in pairs:
            assert tuple(stated.shape) == tuple(found.shape)
            assert stated.dtype == keras.backend.standardize_dtype(found.dtype)
    scores = {"return_attention_scores": True}
    made, spec = block(), keras.KerasTensor
    found = made(X, SOURCE, **scores)
    symbolic = made(spec(X.shape), spec(SOURCE.shape), **scores)
    assert [tuple(x.shape) for x in symbolic] == [tuple(x.shape) for x in found]


@pytest.mark.parametrize("crosses", [False, True])
def test_fits_saves_and_loads(crosses, tmp_path):
    inputs = [keras.Input((None, 8)), keras.Input((None, 4))][: 1 + crosses]
    attention = layers.GravitationalAttention(3, 5, exponent=1.0, dropout=0.2)
    made = layers.TransformerDecoder(
        10, 2, attention, "multi_timescale", activation="swiglu", normalize_first=True
    )
    model = keras.Model(inputs, made(*inputs))
    model.compile("adam", "mse")
    data = [X, SOURCE][: 1 + crosses]
    assert np.isfinite(model.fit(data, X, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = data if crosses else data[0]
    harness.assert_close(value(loaded(given)), value(model(given)), "output", 1e-6)
    [again] = [x for x in loaded.layers if isinstance(x, layers.TransformerDecoder)]
    assert type(again.attention) is layers.GravitationalAttention
    # The shapes that a layer was built with are saved next to its config.
    configs = [one.get_config() for one in (again, made)]
    own = [one.pop("attention")["config"] for one in configs]
    assert own[0] == own[1]
    assert configs[0] == configs[1]


def test_half_precision_is_close():
    exact, half = block(), block(dtype="mixed_bfloat16")
    harness.copy_weights(exact, half)
    got = half(**call())
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    assert np.abs(value(got) - value(exact(**call())))[REAL].max() < 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"intermediate_dim": 0},
        {"num_heads": 3},
        {"dropout": 1.5},
        {"feed_forward": "dens"},
        {"activation": "swigloo"},
        {"attention": "gravitatonal"},
        {"cross_attention": "gravitatonal"},
        {"cross_attention": "retention"},
    ],
)
def test_refuses_bad_options(options):
    match = "Could not interpret" if "activation" in options else "Received:"
    with pytest.raises(ValueError, match=match):
        layers.TransformerDecoder(
            **{"intermediate_dim": 8, "num_heads": 2, **options}
        ).build(X.shape, SOURCE.shape)


def test_refuses_bad_calls():
    made = block()
    alone = layers.TransformerDecoder(8, 2)
    alone(X)
    state = made(**call(return_state=True))[1]
    short = {k: x for k, x in state.items() if k != "count"}
    for some, arguments in (
        (made, {"encoder_sequence": None}),
        (made, {"decoder_padding_mask": np.ones((2, 6), bool)}),
        (made, {"encoder_padding_mask": np.ones((2, 6), bool)}),
        (made, {"decoder_positions": np.zeros(6)}),
        (made, {"initial_state": state}),
        (made, {"initial_state": short, "encoder_sequence": None}),
        (made, {"use_causal_mask": False, "return_state": True}),
        (alone, {}),
        (alone, {"encoder_sequence": None, "initial_state": state}),
    ):
        with pytest.raises(ValueError, match="Received:"):
            pytest.fail(f"{arguments} give {some(**call(**arguments))}")
    for some in (made, layers.TransformerDecoder(8, 2)):
        with pytest.raises(ValueError, match="Received:"):
            some.initial_state(2)
    with pytest.raises(ValueError, match="Received:"):
        alone.initial_state(2, encoder_sequence=SOURCE)


@pytest.mark.parametrize("name", ["encoder_padding_mask", "encoder_positions"])
def test_a_state_stands_in_the_place_of_the_source(name):
    made = block()
    given = {**call(), "initial_state": made.initial_state(2, encoder_sequence=SOURCE)}
    given = {**without_source(given), name: call()[name]}
    alone = layers.TransformerDecoder(8, 2)
    alone(X)
    without = {"decoder_sequence": X, name: call()[name]}
    for some, arguments in ((made, given), (alone, without)):
        for method in (some, some.compute_output_spec):
            with pytest.raises(ValueError, match=f"Received: {name} of shape"):
                method(**arguments)


def test_names_the_mask_that_does_not_fit():
    made = block()
    made.self_attention_layer = None  # The check must come first.
    wrong = call(encoder_padding_mask=np.ones((2, 6), bool))
    for method in (made, made.compute_output_spec):
        with pytest.raises(ValueError, match="Received: encoder_padding_mask of"):
            method(**wrong)


def test_takes_attention_of_keras():
    kinds = (layers.DotProductAttention, keras.layers.MultiHeadAttention)
    ours, theirs = (
        block(*(kind(2, 3, name=name) for name in ("own", "cross"))) for kind in kinds
    )
    harness.copy_weights(ours, theirs)
    untimed = call(decoder_positions=None, encoder_positions=None)
    untimed["return_attention_scores"] = True
    for got, want in zip(theirs(**untimed), ours(**untimed), strict=True):
        real = REAL if got.ndim == 3 else np.broadcast_to(REAL[:, None], got.shape[:3])
        harness.assert_close(value(got)[real], value(want)[real], "output", 1e-5)
    symbols = [keras.KerasTensor(x.shape) for x in (X, SOURCE)]
    assert len(theirs(*symbols, return_attention_scores=True)) == 3
