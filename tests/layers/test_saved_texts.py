"""Configurations and files of earlier versions keep the meaning of `temporal_weighted`.

There, `W` was `sigmoid(f(t))`, and `weighting` did not exist.
"""

import json
import zipfile

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa import models
from keras_twa.layers.saved_texts import as_saved
from keras_twa.layers.saved_texts import to_save
from keras_twa.testing.harness import to_numpy

NEW = 'temporal_weighted(weighting="double_sigmoid")'
OLD = 'temporal_weighted(weighting="sigmoid")'
SIZES = {"embedding_dim": 8, "num_heads": 2, "num_layers": 2, "intermediate_dim": 8}
TOKENS = np.arange(1, 9).reshape(2, 4)
ROWS = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "written", "read"),
    [
        ("temporal_weighted", NEW, OLD),
        (OLD, OLD, OLD),
        (
            "temporal_weighted(initial_offset=0)",
            'temporal_weighted(initial_offset=0, weighting="double_sigmoid")',
            'temporal_weighted(initial_offset=0, weighting="sigmoid")',
        ),
        ("local(window=2)", "local(window=2)", "local(window=2)"),
        ("not a mechanism", "not a mechanism", "not a mechanism"),
        ("unknown", "unknown", "unknown"),
        (["temporal_weighted", "local"], [NEW, "local"], [OLD, "local"]),
        ({"class_name": "X"}, {"class_name": "X"}, {"class_name": "X"}),
        (None, None, None),
    ],
)
def test_texts_are_completed(text, written, read):
    assert to_save(text) == written
    assert as_saved(text) == read


def test_a_configuration_without_a_weighting_is_an_old_one():
    config = layers.TemporalWeightedAttention(2, 4).get_config()
    assert config.pop("weighting") == "double_sigmoid"
    config["initial_offset"] = 4.0
    old = layers.TemporalWeightedAttention.from_config(config)
    assert old.weighting == "sigmoid"
    old.build((None, 5, 8))
    weights = to_numpy(old.weights_at(np.zeros(1, "float32")))
    np.testing.assert_allclose(weights, 1 / (1 + np.exp(-4.0)), rtol=1e-6)


MAKE = {
    "encoder": lambda text: layers.TransformerEncoder(8, 2, text),
    "decoder": lambda text: layers.TransformerDecoder(8, 2, text, "dot_product"),
    "classifier": lambda text: models.EncoderClassifier(9, 3, text, **SIZES),
    "list": lambda text: models.CausalLM(9, [text, "local"], **SIZES),
    "text of a list": lambda text: models.CausalLM(9, f"[{text}, local]", **SIZES),
    "images": lambda text: models.VisionTransformer(4, 2, 3, text, **SIZES),
    "translator": lambda text: models.EncoderDecoder(
        9, 9, encoder_attention=text, **SIZES
    ),
}


@pytest.mark.parametrize("kind", MAKE)
def test_texts_in_configurations(kind):
    made = MAKE[kind]("temporal_weighted")
    config = made.get_config()
    name = "encoder_attention" if kind == "translator" else "attention"
    many = kind in ("list", "text of a list")
    assert config[name] == ([NEW, "local"] if many else NEW)
    again = type(made).from_config(config)
    assert again.get_config()[name] == config[name]
    text = ["temporal_weighted", "local"] if many else "temporal_weighted"
    old = type(made).from_config({**config, name: text})
    assert old.get_config()[name] == ([OLD, "local"] if many else OLD)


def without_weighting(thing):
    """Return a configuration as an earlier version wrote it."""
    if isinstance(thing, dict):
        found = {k: without_weighting(x) for k, x in thing.items() if k != "weighting"}
        if "weighting" in thing and found["initial_offset"] is None:
            found["initial_offset"] = 4.0
        return found
    if isinstance(thing, list):
        return [without_weighting(x) for x in thing]
    return "temporal_weighted" if thing == OLD else thing


def aged(path, new_path):
    """Write a saved model as an earlier version wrote it."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(new_path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                data = json.dumps(without_weighting(json.loads(data))).encode()
            target.writestr(name, data)


def test_files_of_earlier_versions(tmp_path):
    inputs = keras.Input(ROWS.shape[1:])
    x = layers.TemporalWeightedAttention(2, 4, weighting="sigmoid")(inputs)
    x = layers.TransformerEncoder(8, 2, OLD)(x)
    block = layers.TransformerEncoder(
        8, 2, layers.TemporalWeightedAttention(2, 4, weighting="sigmoid")
    )
    model = keras.Model(inputs, block(x))
    model.save(tmp_path / "new.keras")
    aged(tmp_path / "new.keras", tmp_path / "old.keras")
    with zipfile.ZipFile(tmp_path / "old.keras") as archive:
        assert b"sigmoid" not in archive.read("config.json")
    old = keras.saving.load_model(tmp_path / "old.keras")
    np.testing.assert_array_equal(to_numpy(old(ROWS)), to_numpy(model(ROWS)))


def test_files_of_models_of_earlier_versions(tmp_path):
    model = models.EncoderClassifier(9, 3, OLD, **SIZES)
    want = to_numpy(model(TOKENS))
    model.save(tmp_path / "new.keras")
    aged(tmp_path / "new.keras", tmp_path / "old.keras")
    with zipfile.ZipFile(tmp_path / "old.keras") as archive:
        assert b"sigmoid" not in archive.read("config.json")
    old = keras.saving.load_model(tmp_path / "old.keras")
    np.testing.assert_array_equal(to_numpy(old(TOKENS)), want)
    assert all(x.attention_layer.weighting == "sigmoid" for x in old.blocks)
