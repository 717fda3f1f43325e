"""The examples start, and the small ones run."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_twa import layers
from keras_twa import tasks
from keras_twa.cli import common

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "epochs": 1,
    "learning_rate": 1e-3,
    "warmup_steps": 10,
    "model": {
        "num_layers": 1,
        "embedding_dim": 8,
        "num_heads": 2,
        "intermediate_dim": 8,
    },
}
TINY_TRANSLATION = {"ROWS": 64, "TEST_ROWS": 3, "DATES": TINY, "SENTENCES": TINY}


def load(name):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "examples" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["lra_listops", "lra_imdb", "irregular_series", "time_series"]
)
def test_a_comparison_example_hands_its_options_on(name):
    command = [sys.executable, ROOT / "examples" / f"{name}.py", "--preset", "quik"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert "Did you mean 'quick'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.full
def test_sequence_reversal_prints_a_table(monkeypatch, capsys):
    example = load("sequence_reversal")
    for name, value in {"ROWS": 64, "EPOCHS": 1, "LENGTH": 6}.items():
        monkeypatch.setattr(example, name, value)
    example.main([])
    text = capsys.readouterr().out
    assert "symbols right" in text
    assert "dot_product" in text
    assert "temporal_weighted" in text


@pytest.mark.full
def test_sequence_reversal_reverses():
    rows, reversed_rows = load("sequence_reversal").make_rows(5, seed=0)
    assert rows.shape == (5, 24)
    assert (rows[:, 0] == reversed_rows[:, -1]).all()


@pytest.mark.once
@pytest.mark.parametrize("name", ["irregular_series", "time_series"])
def test_a_comparison_example_names_mechanisms_that_there_are(name):
    _, task, _, attention, *_ = load(name).OPTIONS
    wanted = common.names(attention)
    found = common.chosen(wanted, layers.mechanisms(), tasks.get(task).models)
    assert len(found) == len(wanted) > 5
    assert {"dot_product", "gru"} < set(found)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sequence_reversal", ["--epochs", "2"]),
        ("sequence_to_sequence", ["--attention", "lsh"]),
        ("sequence_to_sequence", ["--data", "nope"]),
        ("sequence_to_sequence", ["--epochs", "0"]),
        ("byte_language_model", ["--attention", "lsh"]),
        ("byte_language_model", ["--attention", "foo"]),
        ("byte_language_model", ["--data", "nope"]),
        ("byte_language_model", ["--epochs", "-1"]),
        ("byte_language_model", ["--segment", "60000"]),
        ("vit_cifar10", ["--attention", "foo"]),
        ("vit_cifar10", ["--data", "nope"]),
        ("vit_cifar10", ["--epochs", "-1"]),
        ("vit_cifar10", ["--epochs", "0"]),
        ("tune_listops", ["--attention", "foo"]),
        ("tune_listops", ["--max-trials", "0"]),
        ("tune_listops", ["--epochs", "0"]),
        ("tune_listops", ["--time-limit", "0"]),
    ],
)
def test_an_example_refuses_what_it_cannot_do(
    name, arguments, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        load(name).main(arguments)
    assert stopped.value.code == 2
    assert arguments[1] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_sequence_to_sequence_translates(monkeypatch, capsys):
    example = load("sequence_to_sequence")
    for name, value in TINY_TRANSLATION.items():
        monkeypatch.setattr(example, name, value)
    example.main(["--epochs", "1"])
    text = capsys.readouterr().out
    for row in ("copy of the nearest", "greedy", "beam of 4"):
        assert row in text
    assert text.count("->") == 3


@pytest.mark.full
def test_sequence_to_sequence_reads_pairs(monkeypatch, capsys, tmp_path):
    example = load("sequence_to_sequence")
    for name, value in TINY_TRANSLATION.items():
        monkeypatch.setattr(example, name, value)
    lines = [f"number {n}\tnombre {n}\tCC-BY" for n in range(60)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines), encoding="utf-8")
    example.main(["--data", str(tmp_path / "pairs.txt")])
    assert "number" in capsys.readouterr().out


def test_copies_of_the_nearest_are_near():
    example = load("sequence_to_sequence")
    source = example.text_pairs.encode(["one two three", "four five six"])
    target = example.text_pairs.encode(["1 2 3", "4 5 6"], markers=True)
    asked = example.text_pairs.encode(["four five", "two three"], length=13)
    found = example.copied((source, target), asked)
    assert [example.text_pairs.decode(row) for row in found] == ["4 5 6", "1 2 3"]


@pytest.mark.full
def test_the_language_model_compares_and_generates(monkeypatch, capsys):
    example = load("byte_language_model")
    monkeypatch.setattr(example, "BYTES", {"train": 600, "test": 300})
    monkeypatch.setattr(example, "NEW_BYTES", 4)
    example.main(["--epochs", "1", "--segment", "16", "--attention", "retention"])
    text = capsys.readouterr().out
    assert "generated reviews, not IMDb: 600 bytes" in text
    assert "counts, order 5" in text
    assert "CausalLM, retention" in text
    assert "The plot was " in text


def test_the_language_model_cuts_its_data():
    example = load("byte_language_model")
    stream = example.stream([np.array([66, 67]), np.array([68])], 4)
    assert stream.tolist() == [66, 67, example.END, 68]
    inputs, targets = example.cut(np.arange(8), 3)
    assert inputs.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert targets.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert example.text_of([66, 67, example.END]) == "AB"


@pytest.mark.full
def test_the_image_classifier_compares(monkeypatch, capsys):
    example = load("vit_cifar10")
    monkeypatch.setattr(example, "IMAGES", {"train": 64, "test": 20})
    small = {
        "patch_size": 8,
        "num_layers": 1,
        "embedding_dim": 8,
        "intermediate_dim": 8,
    }
    monkeypatch.setattr(example, "MODEL", small)
    example.main(["--epochs", "1", "--attention", "retention"])
    text = capsys.readouterr().out
    assert "drawings, not CIFAR-10: 64 images" in text
    assert "nearest mean image" in text
    assert "VisionTransformer, retention" in text
