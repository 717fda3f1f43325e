"""The examples start, and the small one runs."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "examples" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["lra_listops", "lra_imdb"])
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


def test_sequence_reversal_prints_a_table(monkeypatch, capsys):
    example = load("sequence_reversal")
    for name, value in {"ROWS": 64, "EPOCHS": 1, "LENGTH": 6}.items():
        monkeypatch.setattr(example, name, value)
    example.main()
    text = capsys.readouterr().out
    assert "symbols right" in text
    assert "dot_product" in text
    assert "temporal_weighted" in text


def test_sequence_reversal_reverses():
    rows, reversed_rows = load("sequence_reversal").make_rows(5, seed=0)
    assert rows.shape == (5, 24)
    assert (rows[:, 0] == reversed_rows[:, -1]).all()
