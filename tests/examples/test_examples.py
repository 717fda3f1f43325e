"""The examples start, and the small ones run."""

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_twa import layers
from keras_twa import tasks
from keras_twa.cli import common
from tests.tasks.tiny import tiny_settings

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "examples" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Return a function that runs an example in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        """Run it with arguments, and return its exit code."""
        path = ROOT / "examples" / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(path), run_name="__main__")
        return stopped.value.code

    return run


@pytest.fixture
def shrink(monkeypatch):
    """Return a function that shrinks the preset `quick` of a task to seconds."""

    def shrink(task, **changes):
        settings = tiny_settings(task, **changes)
        monkeypatch.setitem(tasks.get(task).presets, "quick", settings)

    return shrink


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
def test_sequence_reversal_compares_two_mechanisms(start, shrink, capsys):
    shrink("sequence_reversal", max_length=6)
    assert start("sequence_reversal") == 0
    text = capsys.readouterr().out
    assert "symbols right" in text
    for row in ("dot_product", "temporal_weighted", "chance"):
        assert row in text


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
        ("irregular_series", ["--attention", "gravity"]),
        ("irregular_series", ["--epochs", "0"]),
        ("irregular_series", ["--seeds", "-1"]),
        ("sequence_reversal", ["--epochs", "0"]),
        ("sequence_reversal", ["--data", "nope"]),
        ("sequence_to_sequence", ["--attention", "lsh"]),
        ("sequence_to_sequence", ["--data", "nope"]),
        ("sequence_to_sequence", ["--epochs", "0"]),
        ("byte_language_model", ["--attention", "lsh"]),
        ("byte_language_model", ["--attention", "foo"]),
        ("byte_language_model", ["--data", "nope"]),
        ("byte_language_model", ["--epochs", "-1"]),
        ("byte_language_model", ["--max-length", "6000000"]),
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
def test_an_example_refuses_what_it_cannot_do(name, arguments, start, tmp_path, capsys):
    assert start(name, *arguments) == 2
    assert arguments[1] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_sequence_to_sequence_translates(start, shrink, tmp_path, capsys):
    shrink("dates")
    assert start("sequence_to_sequence", "--epochs", "1") == 0
    text = capsys.readouterr().out
    for row in ("copy of the nearest", "greedy: ", "beam of 4: "):
        assert row in text
    assert "Translated by dot_product-seed0:" in text
    assert text.count("  -> ") == 3
    folder = tmp_path / "runs" / f"dates-quick-{keras.backend.backend()}"
    assert (folder / "report.html").exists()
    # Again: nothing is left to do but to translate.
    assert start("sequence_to_sequence", "--epochs", "1") == 0
    again = capsys.readouterr().out
    assert "epoch 1/1" not in again
    assert again.partition("Translated by")[2] == text.partition("Translated by")[2]


@pytest.mark.full
def test_sequence_to_sequence_reads_pairs(start, shrink, tmp_path, capsys):
    shrink("dates")
    lines = [f"number {n}\tnombre {n}\tCC-BY" for n in range(60)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines), encoding="utf-8")
    output = str(tmp_path / "out")
    code = start("sequence_to_sequence", "--data", "pairs.txt", "--output", output)
    assert code == 0
    assert "\nnumber " in capsys.readouterr().out


@pytest.mark.full
def test_the_language_model_compares_and_generates(start, shrink, capsys):
    shrink("byte_language_model", max_length=16)
    code = start("byte_language_model", "--attention", "retention,local(window=4)")
    assert code == 0
    text = capsys.readouterr().out
    for part in ("sample, not IMDb", "5-grams", "Written by retention-seed0:"):
        assert part in text
    assert text.count("Written by") == text.count("\nThe plot was ") == 2


@pytest.mark.full
def test_the_image_classifier_compares(start, shrink, capsys):
    shrink("vit_cifar10", patch_size=16)
    assert start("vit_cifar10", "--attention", "retention") == 0
    text = capsys.readouterr().out
    for part in ("sample, not CIFAR-10", "nearest mean image", "retention"):
        assert part in text
