"""The benchmark that holds scores on probes against accuracies elsewhere."""

import importlib.util
from pathlib import Path

import pytest

from keras_twa.probing import CapabilityMatrix
from keras_twa.probing.recorded import Score
from tests.experiments.canned_results import ATTENTIONS
from tests.experiments.test_across import summaries
from tests.probing.canned import canned_matrix

pytestmark = pytest.mark.once

PLACE = Path(__file__).resolve().parents[2] / "benchmarks" / "probes.py"
ACCURACIES = {"first": dict(zip(ATTENTIONS, (0.5, 0.6, 0.7, 0.8, 0.9), strict=True))}


@pytest.fixture(scope="module")
def benchmark():
    """Return the benchmark as a module."""
    spec = importlib.util.spec_from_file_location("probes_benchmark", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scores(benchmark, monkeypatch):
    """Recorded scores that rise with the accuracies in one probe only."""
    rising, falling = (0.1, 0.2, 0.3, 0.4, 0.5), (0.3, 0.9, 0.1, 0.5, 0.2)
    found = {
        name: {
            probe: Score(values[number], None, 1, 0.5, False)
            for probe, values in (("parity", rising), ("copying", falling))
        }
        for number, name in enumerate(ATTENTIONS)
    }
    monkeypatch.setattr(benchmark, "recorded", lambda: found)


def test_it_prints_a_row_for_each_probe(benchmark, scores, tmp_path, capsys):
    summaries(tmp_path, ACCURACIES)
    assert benchmark.main(["--correlate", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Do probes predict accuracies?")
    assert "| `parity` | **+1.00 (+1.00 to +1.00), 5** |" in text
    assert "| `copying` | -0.30 (" in text
    assert "| mean of all probes | " in text
    assert "So do 1 of 3" in text


def test_it_writes_a_file(benchmark, scores, tmp_path, capsys):
    summaries(tmp_path / "runs", ACCURACIES)
    output = tmp_path / "out" / "report.md"
    given = ["--correlate", str(tmp_path / "runs" / "first"), "--output", str(output)]
    assert benchmark.main(given) == 0
    assert "| `parity` |" in output.read_text("utf-8")
    assert str(output) in capsys.readouterr().out


def test_it_reads_a_matrix(benchmark, tmp_path):
    canned_matrix(tmp_path / "runs", 0.9, ["linear", "lsh"], ["parity", "copying"])
    found = benchmark.scores_by_probe(tmp_path / "runs")
    assert list(found) == ["parity", "copying", benchmark.MEAN]
    # A mechanism that was skipped has no score.
    assert found["parity"] == {"linear": pytest.approx(0.81)}
    CapabilityMatrix(tmp_path / "runs").report(tmp_path / "report")
    assert benchmark.scores_by_probe(tmp_path / "report") == found
    assert benchmark.scores_by_probe(tmp_path / "report" / "matrix.json") == found


def test_options_that_differ_are_told(benchmark):
    scores = {"parity": {f"m{i}": i / 10 for i in range(4)} | {"local(window=8)": 0.9}}
    accuracies = {"a": {f"m{i}": i / 9 for i in range(4)} | {"local(window=16)": 0.8}}
    blocks = benchmark.report(scores, accuracies)
    assert "`local(window=16)` for `local(window=8)`" in blocks[-1].text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--correlate", "no"], "no comparison, and no results"),
        (["--correlate", "no", "--matrix", "no"], "probes.json"),
    ],
)
def test_bad_input_is_one_line(
    benchmark, scores, given, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(given) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0]


def test_without_scores_it_says_how_to_get_them(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "recorded", dict)
    assert benchmark.main(["--correlate", "anything"]) == 2
    assert "`keras-twa probe` measures them" in capsys.readouterr().err
