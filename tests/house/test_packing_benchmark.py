"""The benchmark of packed rows trains on the same reviews in each way."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import packing

from keras_twa.datasets import imdb

pytestmark = [pytest.mark.full, pytest.mark.once]

SIZES = {"length": 64, "batch": 3, "layers": 1, "width": 4, "heads": 2}
SIZES |= {"steps": 2, "rounds": 2}


@pytest.fixture(scope="module")
def reviews():
    """Return the tokens and labels of generated reviews, most of them short."""
    sequences, labels = imdb.load_sequences("sample", max_length=64).train
    lengths = np.random.default_rng(0).integers(5, 65, 100)
    shorter = [one[:size] for one, size in zip(sequences[:100], lengths, strict=True)]
    tokens = np.concatenate(shorter)
    return type(sequences)(tokens, [len(one) for one in shorter]), labels[:100]


def test_each_way_has_every_review(reviews):
    sequences, labels = reviews
    options = argparse.Namespace(**SIZES | {"steps": 1000})
    shapes = packing.shapes_of(sequences, labels, options)
    assert {shape.way for shape in shapes} == set(packing.WAYS)
    for way in packing.WAYS:
        of_way = [shape for shape in shapes if shape.way == way]
        batches = [batch for shape in of_way for batch in shape.batches]
        assert sum(shape.count for shape in of_way) == len(batches)
        assert sum(weights.sum() for _, _, weights in batches) == len(labels)
        ones = sum((y * weights).sum() for _, y, weights in batches)
        assert ones == labels.sum()
    share = {
        way: packing.real_share(sequences.lengths.sum(), shapes, way, 3)
        for way in packing.WAYS
    }
    assert share["padded"] < share["bucketed"] < share["packed"] <= 1


def test_the_command(reviews, monkeypatch, tmp_path, capsys):
    path = tmp_path / "numbers.json"
    found = imdb.Reviews(reviews, None, None, "archive", None)
    monkeypatch.setattr(imdb, "load_sequences", lambda *_, **__: found)
    sizes = [f"--{name}={value}" for name, value in SIZES.items()]
    arguments = ["--data", "private/path", "--attention", "dot_product", "--json", path]
    monkeypatch.setattr(sys, "argv", ["packing.py", *sizes, *map(str, arguments)])
    packing.main()
    report = json.loads(path.read_text())
    assert "private" not in path.read_text()
    assert report["tokens"] == reviews[0].lengths.sum()
    assert [case["way"] for case in report["cases"]] == [*packing.WAYS]
    for case in report["cases"]:
        assert case["tokens_per_second"] > 0
        assert len(case["times_padded"]) == SIZES["rounds"]
    assert "| `dot_product` | packed |" in capsys.readouterr().out


def test_says_what_does_not_pack(reviews, monkeypatch):
    class NoPacking(packing.layers.DotProductAttention):
        packs = False

    monkeypatch.setattr(packing.layers, "get", lambda *_, **__: NoPacking(1, 1))
    options = argparse.Namespace(**SIZES, dtype="float32")
    shapes = packing.shapes_of(*reviews, options)
    cases = packing.measure("dot_product", shapes, 1000, options)
    assert [case.get("problem") for case in cases] == [None, None, packing.NO_PACKING]
    assert "no packed rows" in packing.table({"cases": cases})


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--data", "nowhere"], "no reviews at this path"),
        (["--data", "sample", "--steps", "0"], "--steps 0"),
        (["--data", "sample", "--width", "10", "--heads", "4"], "multiple of --heads"),
        (["--data", "sample", "--json", "nowhere/numbers.json"], "does not exist"),
        (["--data", "sample", "--attention", "dotproduct"], "dot_product"),
        ([], "--data"),
    ],
)
def test_bad_arguments_are_one_line(arguments, hint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["packing.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        packing.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert hint in error
    assert len(error.splitlines()) == 1
