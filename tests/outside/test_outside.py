"""Mechanisms of another package are used, compared, tuned, drawn and checked by name.

The package imports public names of keras_twa only.
"""

import ast
import json

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa import models
from keras_twa.cli import main
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.report import write_report
from keras_twa.tasks import load
from keras_twa.testing import check_attention
from keras_twa.testing.promises import PROMISES
from keras_twa.visualization import attention_heatmaps
from keras_twa.visualization import position_weights
from tests.experiments.tiny import tiny_experiment
from tests.outside import references
from tests.outside.conftest import PACKAGES

NAMES = ("distance", "fading")
SOURCES = sorted(PACKAGES.rglob("*.py"))
TOKENS = np.array([[3, 1, 4, 1, 5, 0, 0]])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_they_are_short_and_import_public_names(path):
    assert len(path.read_text().splitlines()) <= 60
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("keras_twa"):
            assert node.module in ("keras_twa", "keras_twa.layers", "keras_twa.ops")


def test_they_keep_the_contract(theirs):
    ran = check_attention(theirs.DistanceAttention, references.distance)
    left_out = {*PROMISES} - {*ran}
    assert left_out == {
        "refuses_causal_calls",
        "refuses_packed_rows",
        "refuses_projected",
        "refuses_states",
        "reversed_input_gives_reversed_output",
        "states_stop_gradients",
    }
    ran = check_attention(theirs.FadingAttention, references.fading)
    assert {"equals_reference", "steps_equal_one_call", "refuses_projected"} <= {*ran}


@pytest.mark.parametrize("name", NAMES)
def test_a_block_takes_the_name(name, theirs, tmp_path):
    block = layers.TransformerEncoder(16, 2, name)
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    outputs = block(x)
    assert tuple(outputs.shape) == x.shape
    assert type(block.attention_layer).__module__ == f"their_attention.{name}"
    model = keras.Sequential([keras.Input((5, 8)), block])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )


def test_a_comparison_trains_them(tmp_path):
    experiments = [tiny_experiment(name, epochs=1) for name in NAMES]
    place = "their_attention.fading:FadingAttention"
    assert experiments[1].defined_in == {"fading": place}
    comparison = Comparison(tmp_path, experiments, keras.backend.backend())
    first = experiments[0]
    comparison.prepare(load(first.task, first.data, first.settings))
    results = comparison.run(lambda experiment, event: None)
    assert [(result.status, result.reason) for result in results] == [
        ("completed", "")
    ] * len(NAMES)
    assert "fading" in write_report(tmp_path).read_text()


def test_a_search_chooses_among_their_options(tmp_path):
    pytest.importorskip("keras_tuner")
    from keras_twa.tuner.space import search_space
    from tests.tuner.tiny import tiny_search

    assert search_space("distance") == {"width": (1.0, 4.0)}
    result = tiny_search(tmp_path, max_trials=2, attentions=NAMES)
    found = [trial["hyperparameters"] for trial in result.trials]
    assert [trial["status"] for trial in result.trials] == ["completed"] * 2
    texts = {chosen["attention"] for chosen in found}
    assert texts <= {*NAMES, "distance(width=4.0)"}


def test_they_are_drawn():
    model = models.EncoderClassifier(17, 10, "distance", embedding_dim=16)
    model(TOKENS)
    assert len(attention_heatmaps(model, TOKENS).axes) == 8
    for name in NAMES:
        layer = layers.get(name, num_heads=2, key_dim=4)
        layer.build((None, None, 8))
        if name == "fading":
            [line] = position_weights(layer, length=3).axes[0].lines
            np.testing.assert_allclose(line.get_ydata(), [1.0, 0.9, 0.81])
        else:
            with pytest.raises(ValueError, match="Received: DistanceAttention"):
                position_weights(layer)


def test_the_command_lists_them(capsys):
    assert main(["list", "--import", "their_attention", "--json"]) == 0
    *_, distance, fading = json.loads(capsys.readouterr().out)["mechanisms"]
    assert (distance["name"], fading["name"]) == NAMES
    assert fading["cost"] == "O(T^2 D) time."
