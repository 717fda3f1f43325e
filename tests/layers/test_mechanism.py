"""Mechanisms with options, as text, as objects and in lists with one per block."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa import models
from keras_twa.layers import Mechanism
from keras_twa.layers import mechanism_of
from keras_twa.layers import text_of
from keras_twa.testing.harness import to_numpy

TOKENS = np.array([[1, 2, 3, 0]])
SIZES = {"embedding_dim": 8, "num_heads": 2, "intermediate_dim": 8}
TEXTS = (
    "local",
    "local(window=32)",
    'temporal_weighted(applies_to="lag", initial_offset=0)',
    "multi_timescale(discounts=[0.5, 0.9])",
    'linear(feature_map="it\'s \\"quoted\\"", use_bias=false)'.replace(
        "false", "False"
    ),
    "[local, local(window=2), gated_delta]",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stands_for_itself(text):
    assert text_of(text) == text
    assert text_of(mechanism_of(text)) == text
    assert mechanism_of(text_of(text)) == mechanism_of(text)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ("local( window = 3 )", "local(window=3)"),
        ("a(y=1,x=2)", "a(x=2, y=1)"),
        (
            "multi_timescale(discounts=(.5, .9))",
            "multi_timescale(discounts=[0.5, 0.9])",
        ),
        ('["local", local(window=2)]', "[local, local(window=2)]"),
        (["local", Mechanism("rwkv")], "[local, rwkv]"),
        (layers.LocalAttention, "local"),
        (Mechanism("local", {"window": 3}), "local(window=3)"),
    ],
    ids=str,
)
def test_everything_has_one_text(other, text):
    assert text_of(other) == text


def test_a_layer_has_the_text_of_what_differs_from_its_defaults():
    layer = layers.LocalAttention(4, 16, window=32, positions="rotary", name="mine")
    text = 'local(key_dim=16, num_heads=4, positions="rotary", window=32)'
    assert text_of(layer) == text
    again = layers.get(text)
    config = {**layer.get_config(), "name": again.name}
    assert again.get_config() == config


def test_a_layer_inside_of_a_layer_is_made_again():
    positions = layers.T5Positions(num_buckets=8)
    text = text_of(layers.DotProductAttention(2, 4, positions=positions))
    again = layers.get(text)
    assert isinstance(again.positions, layers.T5Positions)
    assert again.positions.num_buckets == 8


@pytest.mark.parametrize(
    "text",
    ["", "[]", "local(", "local(3)", "local(window=x)", "[[local]]", "a b", "a.b"],
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="Received: "):
        text_of(text)
    with pytest.raises(ValueError, match="Received: "):
        layers.get(text, num_heads=2, key_dim=4)


@pytest.mark.parametrize("value", [3, [], {"a": 1}, None, keras.layers.Dense])
def test_other_values_are_refused(value):
    if value is keras.layers.Dense:
        value = [value, 3]
    with pytest.raises(ValueError, match="Received: "):
        text_of(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_values_without_a_text_are_refused(value):
    with pytest.raises(ValueError, match=r"An option must be .*Received: window="):
        Mechanism("local", {"window": value})


def test_options_replace_what_a_block_passes():
    layer = layers.get("local(num_heads=1, window=3)", num_heads=4, key_dim=2)
    assert (layer.num_heads, layer.key_dim, layer.window) == (1, 2, 3)


def test_an_unknown_option_is_refused():
    match = r"`local` has no option `windo`. Did you mean `window`\?.*Received: local\("
    with pytest.raises(ValueError, match=match):
        layers.get("local(windo=3)", num_heads=2, key_dim=4)


@pytest.mark.parametrize(
    "attention", ["local(window=1)", Mechanism("local", {"window": 1})]
)
def test_a_block_takes_it(attention):
    block = layers.TransformerEncoder(8, 2, attention)
    block(np.ones((1, 3, 8), "float32"))
    assert block.attention_layer.window == 1
    again = layers.TransformerEncoder.from_config(block.get_config())
    assert again.attention == "local(window=1)"


@pytest.mark.parametrize(
    "attention",
    [
        ["local(window=2)", "retention"],
        "[local(window=2), retention]",
        [layers.LocalAttention(2, 4, window=2), Mechanism("retention")],
    ],
    ids=["list", "text", "objects"],
)
def test_a_model_takes_one_per_block(attention, tmp_path):
    model = models.CausalLM(9, attention, **SIZES)
    want = to_numpy(model(TOKENS))
    first, second = (block.attention_layer for block in model.blocks)
    assert first.window == 2
    assert isinstance(second, layers.RetentionAttention)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(again(TOKENS)), want)
    copy = models.CausalLM.from_config(model.get_config())
    assert copy.get_config()["attention"] == model.get_config()["attention"]


def test_the_decoder_takes_one_per_block():
    model = models.EncoderDecoder(
        9,
        9,
        decoder_attention=["local", "retention"],
        cross_attention="linear",
        **SIZES,
    )
    model({"source": TOKENS, "target": TOKENS})
    first, second = (block.self_attention_layer for block in model.decoder_blocks)
    assert isinstance(first, layers.LocalAttention)
    assert isinstance(second, layers.RetentionAttention)


def test_another_number_of_blocks_is_refused():
    with pytest.raises(ValueError, match=r"one entry per block.*Received: 1 entries"):
        models.EncoderClassifier(9, 3, ["local"], **SIZES)
    with pytest.raises(ValueError, match="`cross_attention` must have one entry"):
        models.EncoderDecoder(9, 9, cross_attention=["linear"], **SIZES)
