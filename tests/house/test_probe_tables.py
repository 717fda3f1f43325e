"""The documents' tables about probes, from recorded scores."""

import importlib
from pathlib import Path

import pytest

from keras_twa import layers
from keras_twa.mechanism import listed
from keras_twa.mechanism import parse
from keras_twa.mechanism import text as text_of
from keras_twa.probing import CapabilityMatrix
from keras_twa.probing import recorded
from keras_twa.tasks import probes
from tests.probing.canned import canned_matrix

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
GATED = "gated_delta(convolution=4)"


@pytest.fixture(scope="module")
def modules():
    """The scripts of the documents, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        names = ("published", "probe_tables", "generate")
        yield {name: importlib.import_module(name) for name in names}


@pytest.fixture(scope="module")
def tables(modules):
    return modules["probe_tables"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of recorded scores."""
    folder = tmp_path_factory.mktemp("recorded")
    canned_matrix(
        folder / "a",
        0.95,
        ["dot_product", GATED, "lsh"],
        ["parity", "associative_recall"],
    )
    path = folder / "recorded.json"
    matrix = CapabilityMatrix(folder / "a").to_json()
    path.write_text(recorded.as_text([("a", matrix)]), "utf-8")
    return path


def test_each_published_outcome_is_about_what_there_is(modules):
    known = layers.mechanisms()
    for outcome in modules["published"].OUTCOMES:
        assert outcome.probe in probes.names()
        probe = probes.get(outcome.probe)
        assert outcome.preset in probe.presets
        assert outcome.times in probe.test_lengths
        assert outcome.mechanisms
        for text in outcome.mechanisms:
            # Results have this text.
            assert text_of(parse(text)) == text
            probe.task.check(text)
            for each in listed(parse(text)):
                layers.get(each, num_heads=2, key_dim=8)
                assert each.name in known


def test_agreement_counts_the_statements_that_hold(modules):
    published = modules["published"]
    outcome = published.Outcome(
        "parity",
        "",
        "",
        solves=("a", "b"),
        fails=("c",),
        better=(("a", "c"), ("c", "b"), ("a", "b")),
    )
    assert outcome.mechanisms == ("a", "b", "c")
    scores = {"a": 0.95, "b": 0.92, "c": 0.5}
    # c does not fail, c is not better than b, and a is hardly better than b.
    assert outcome.agreement(scores) == (3, 6)
    assert outcome.agreement({"a": 0.95}) == (1, 1)
    assert outcome.agreement({}) == (0, 0)


def test_published_percentages_become_the_order_of_clear_pairs(modules):
    found = modules["published"].ordered({"a": 90.0, "b": 86.0, "c": 20.0})
    assert found == (("a", "c"), ("b", "c"))


def test_recorded_scores_stand_beside_published_ones(tables, file):
    text = tables.published_table(file)
    rows = [line.split(" | ") for line in text.splitlines()[2:]]
    ours = {(row[0].strip("| "), row[1]): row[3:] for row in rows}
    found = ours["`associative_recall`", "DeltaNet solves it."]
    assert found == [f"`{GATED}` 0.94 (quick)", "1 of 1 |"]
    parity = next(x for (probe, _), x in ours.items() if probe == "`parity`")
    assert parity == ["`dot_product` 0.00 (quick, ×4; others not recorded)", "1 of 1 |"]
    copying = next(x for (probe, _), x in ours.items() if probe == "`copying`")
    assert copying == ["not recorded", "– |"]


def test_without_scores_the_tables_say_so(tables, tmp_path):
    path = tmp_path / "no.json"
    assert "No scores are recorded" in tables.matrix_table(path)
    assert tables.mechanism_table("linear", path) == ""
    assert tables.mechanism_line("linear", path) == ""
    rows = tables.published_table(path).splitlines()[2:]
    assert all("| not recorded | – |" in row for row in rows)


def test_mechanisms_have_a_table_and_a_line(tables, file):
    assert tables.mechanism_table("gated_delta", file) == (
        f"| Probe | `{GATED}` |\n| --- | --- |\n"
        "| associative recall | 0.94 ± 0.08 |\n| parity | 0.91 ± 0.13 |"
    )
    line = tables.mechanism_line("gated_delta", file)
    assert line == f"associative recall 0.94 (`{GATED}`), parity 0.91 (`{GATED}`)"
    assert tables.mechanism_line("dot_product", file).startswith("associative")
    text = tables.matrix_table(file)
    assert text.splitlines()[0] == "| Mechanism | associative recall | parity |"
    # It has no score, so it has no row.
    assert "lsh" not in text


def test_the_guides_and_the_package_are_up_to_date(modules, tables):
    generate = modules["generate"]
    assert recorded.FILE.read_text("utf-8") == tables.recorded_text()
    for path, written in (
        (generate.PROBES, generate.guide_to_probes),
        (generate.CHOOSING, generate.guide_to_choosing),
    ):
        text = path.read_text("utf-8")
        assert written(text) == text
    for name in probes.names():
        assert f"`{name}`" in generate.PROBES.read_text("utf-8")


def test_a_document_without_the_place_is_refused(modules):
    with pytest.raises(ValueError, match="must have the lines"):
        modules["generate"].with_part("text", "scores", "table")


def test_results_in_the_documents_are_found(modules, tables, tmp_path, monkeypatch):
    canned_matrix(tmp_path / "runs", 0.9, ["linear"], ["parity"])
    CapabilityMatrix(tmp_path / "runs").report(tmp_path / "results" / "quick-x")
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    path = tmp_path / "recorded.json"
    path.write_text(tables.recorded_text(), "utf-8")
    assert recorded.recorded(path=path)["linear"]["parity"].mean == pytest.approx(0.81)
