"""The matrix: its tables, its marks and its report."""

import json
import math

import pytest

from keras_twa.experiments.results import Result
from keras_twa.probing import CapabilityMatrix
from keras_twa.probing.plan import Plan
from tests.probing.canned import ATTENTIONS
from tests.probing.canned import PROBES
from tests.probing.canned import RATES
from tests.probing.canned import canned_matrix
from tests.probing.canned import canned_result
from tests.probing.canned import save

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("matrix") / "out"
    canned_matrix(found)
    return found


@pytest.fixture
def matrix(folder):
    return CapabilityMatrix(folder)


def one_cell(folder, results):
    """The cell of dot-product attention on parity, with these results."""
    plan = Plan.of("dot_product", "parity", 1, "quick", RATES, output=folder)
    (comparison,) = plan.prepare().values()
    for rate, facts in results:
        (experiment,) = comparison.experiments
        changed = Result(experiment).to_json()["experiment"] | {"learning_rate": rate}
        save(comparison, canned_result(type(experiment).from_json(changed), **facts))
    return CapabilityMatrix(folder).cells["parity"]["dot_product"]


def test_scores_are_between_chance_and_perfect(matrix):
    table = matrix.table
    assert list(table.index) == [*ATTENTIONS]
    assert list(table.columns) == [*PROBES]
    # 0.9 and 0.91 where chance is 1/2, 1/4 and 0.
    for name, chance in zip(PROBES, (0.5, 0.25, 0.0), strict=True):
        wanted = ((0.9 - chance) + (0.91 - chance)) / 2 / (1 - chance)
        assert table.loc["dot_product", name] == pytest.approx(wanted)
        assert table.loc["[local, retention]", name] == pytest.approx(wanted)
    assert math.isnan(table.loc["lsh", "parity"])
    assert matrix.intervals.loc["retention", "parity"] > 0
    assert matrix.intervals.shape == table.shape


def test_details_have_a_row_for_each_cell(matrix):
    found = matrix.details.loc["retention", "parity"]
    assert found["test"] == pytest.approx(0.905)
    assert (found["chance"], found["seeds"], found["learning_rate"]) == (0.5, 2, 3e-3)
    assert found["at_lengths"] == {"1": pytest.approx(0.81), "2": 0.0, "4": 0.0}
    assert len(matrix.details) == len(ATTENTIONS) * len(PROBES)
    assert not matrix.details["improving"].any()
    assert not matrix.details["partial"].any()


def test_it_says_why_a_mechanism_was_skipped(matrix):
    assert set(matrix.skipped) == {("lsh", name) for name in PROBES}
    text = str(matrix)
    assert f"lsh, skipped on {', '.join(PROBES)}: Later steps must not affect" in text
    assert "0.81 ± 0.13" in text and "associative recall" in text
    assert repr(matrix) == text
    page = matrix._repr_html_()
    assert "<table" in page and "data:image/svg+xml" in page and "skipped" in page


def test_all_probes_are_printed_in_narrow_terminals(tmp_path):
    Plan.of("dot_product", output=tmp_path).prepare()
    found = CapabilityMatrix(tmp_path)
    text = str(found)
    assert text.count("dot_product") == 3
    assert max(map(len, text.splitlines())) <= 100
    assert "A wider terminal" not in text


def test_the_report_has_all_of_it(matrix, tmp_path):
    page = matrix.report(tmp_path / "report")
    assert page.read_text("utf-8").count("data:image/svg+xml") == 3
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    for part in (
        "# What attention mechanisms can do",
        "| `[local, retention]` | **0.81 ± 0.13** |",
        "chance 50.0 %, solver 100.0 %",
        "## Longer rows than in training",
        "| mechanism | ×1 | ×2 | ×4 |",
        "## Parameters",
        "17,011",
        "**0.003**",
        "lsh, skipped on parity, associative_recall",
    ):
        assert part in text, part
    found = json.loads((tmp_path / "report" / "matrix.json").read_text("utf-8"))
    assert len(found["cells"]) == len(ATTENTIONS) * len(PROBES)
    runs = (tmp_path / "report" / "runs.csv").read_text("utf-8").splitlines()
    # Two rates and one more seed of three mechanisms on three probes.
    assert len(runs) == 1 + 3 * 3 * 3
    assert not (matrix.folder / "report.md").exists()


def test_a_budget_that_ended_early_is_marked(tmp_path):
    facts = {"score": 0.9, "improving": True}
    cell = one_cell(tmp_path, [(rate, facts) for rate in RATES])
    assert cell.improving and cell.text == "0.80 …"
    matrix = CapabilityMatrix(tmp_path)
    assert "The budget ended before a plateau" in str(matrix)
    matrix.report()
    assert "0.80 …" in (tmp_path / "report.md").read_text("utf-8")


def test_missing_rates_are_marked_unless_one_has_solved_it(tmp_path):
    cell = one_cell(tmp_path / "a", [(RATES[1], {"score": 0.9})])
    assert cell.partial and cell.text == "0.80 ?"
    assert "Rates or seeds are missing" in str(CapabilityMatrix(tmp_path / "a"))
    cell = one_cell(tmp_path / "b", [(RATES[1], {"score": 0.999})])
    assert not cell.partial and cell.text == "1.00"


def test_failed_runs_have_no_score(tmp_path):
    facts = {"score": 0.9, "status": "failed"}
    cell = one_cell(tmp_path, [(rate, facts) for rate in RATES])
    assert (cell.score, cell.text) == (None, "failed")


def test_a_matrix_without_results_has_a_report(tmp_path):
    Plan.of(["dot_product", "lsh"], "parity", output=tmp_path).prepare()
    matrix = CapabilityMatrix(tmp_path)
    assert matrix.table.isna().all(axis=None)
    assert matrix.report().exists()


def test_a_matrix_of_what_nothing_can_take_says_why(tmp_path):
    Plan.of(["lsh"], "parity", output=tmp_path).prepare()
    matrix = CapabilityMatrix(tmp_path)
    assert "skipped" in str(matrix)
    assert matrix.report().exists()


def test_a_folder_without_a_matrix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"probes\.json"):
        CapabilityMatrix(tmp_path)
