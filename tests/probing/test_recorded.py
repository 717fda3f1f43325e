"""The recorded scores, from a matrix to lists of mechanisms."""

import json

import pytest

from keras_twa.cli import main
from keras_twa.probing import CapabilityMatrix
from keras_twa.probing import recorded
from tests.probing.canned import canned_matrix

pytestmark = pytest.mark.once

VARIANT = "gated_delta(convolution=4)"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of recorded scores of two matrices."""
    folder = tmp_path_factory.mktemp("recorded")
    canned_matrix(folder / "a", 0.9, ["retention", "[local, retention]"], ["parity"])
    canned_matrix(folder / "b", 0.8, [VARIANT, "retention", "lsh"], ["parity"])
    matrices = [(x, CapabilityMatrix(folder / x).to_json()) for x in "ab"]
    path = folder / "recorded.json"
    path.write_text(recorded.as_text(matrices), "utf-8")
    return path


def test_they_are_read_as_they_were_written(file):
    scores = recorded.recorded(path=file)
    assert list(scores) == ["retention", "[local, retention]", VARIANT]
    # The first matrix comes first.
    score = scores["retention"]["parity"]
    assert score.mean == pytest.approx(0.81)
    assert (score.seeds, score.test, score.text) == (2, 0.905, "0.81 ± 0.13")
    assert score.at_lengths == {"1": 0.81, "2": 0.0, "4": 0.0}
    assert recorded.recorded("standard", path=file) == {}
    assert recorded.recorded(positions="none", path=file) == {}


def test_variants_of_a_mechanism_are_found_by_its_name(file):
    scores = recorded.recorded(path=file)
    assert list(recorded.variants(scores, "gated_delta")) == [VARIANT]
    text, score = recorded.score_on(scores, "gated_delta", "parity")
    assert (text, round(score.mean, 2)) == (VARIANT, 0.61)
    assert recorded.score_on(scores, "local", "parity") is None
    assert recorded.score_on(scores, "retention", "copying") is None
    exact = "gated_delta( convolution = 4 )"
    assert recorded.score_of(scores, exact, "parity") == score
    assert recorded.score_of(scores, "gated_delta", "parity") is None


def test_without_a_file_nothing_is_recorded(tmp_path):
    assert recorded.recorded(path=tmp_path / "no.json") == {}
    assert json.loads(recorded.as_text([])) == {"format": 1, "matrices": []}


def test_what_the_package_has_can_be_read():
    assert recorded.FILE.exists()
    recorded.recorded()


def test_list_sorts_by_a_score(file, capsys, monkeypatch):
    scores = recorded.recorded(path=file)
    monkeypatch.setattr(recorded, "recorded", lambda: scores)
    assert main(["list", "--by", "parity"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith((" ret", " gat", " dot"))]
    assert [row[0] for row in rows[:3]] == ["retention", "gated_delta", "dot_product"]
    assert rows[0][1:4] == ["0.81", "±", "0.13"]
    assert rows[2][1] == "–"
    assert main(["list", "--by", "parity", "--json"]) == 0
    first, second, third, *_ = json.loads(capsys.readouterr().out)["mechanisms"]
    assert first["score"]["attention"] == "retention"
    assert second["score"]["attention"] == VARIANT
    assert third["score"] is None


def test_list_says_that_nothing_is_recorded(capsys, monkeypatch):
    monkeypatch.setattr(recorded, "recorded", dict)
    assert main(["list", "--by", "parity"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "No scores on parity are recorded in this version" in text
    assert main(["list", "--by", "parit"]) == 2
    assert "Did you mean 'parity'" in capsys.readouterr().err
