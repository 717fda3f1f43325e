"""Reports of made-up results: everything is in them, and they need nothing else."""

import dataclasses
import re

import pytest

from keras_twa.experiments.document import Bullets
from keras_twa.experiments.document import Heading
from keras_twa.experiments.document import Paragraph
from keras_twa.experiments.document import Table
from keras_twa.experiments.document import write_html
from keras_twa.experiments.document import write_markdown
from keras_twa.experiments.report import write_report
from keras_twa.experiments.summary import Summary
from tests.experiments.canned_results import ATTENTIONS
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison

pytestmark = pytest.mark.once

SECTIONS = (
    "Summary",
    "Score",
    "Without attention",
    "Learning",
    "Time and memory",
    "Relative improvement over conventional attention",
    "At a glance",
    "What they attend to",
    "Failed and unfinished runs",
    "Caveats",
    "Settings",
    "Versions and hardware",
)
FIGURES = ("score", "learning", "efficiency", "improvement", "radar", "attention")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = [canned_result(name, seed) for seed in range(3) for name in ATTENTIONS]
    results[-1] = canned_result(
        ATTENTIONS[-1],
        2,
        epochs=2,
        status="failed",
        reason="FloatingPointError: The training loss is nan",
    )
    folder = write_comparison(tmp_path_factory.mktemp("canned"), results)
    write_report(folder)
    return folder


def test_every_section_is_there(folder):
    markdown = (folder / "report.md").read_text("utf-8")
    page = (folder / "report.html").read_text("utf-8")
    for section in SECTIONS:
        assert f"## {section}\n" in markdown
        assert f"<h2>{section}</h2>" in page
    for name in FIGURES:
        assert (folder / "figures" / f"{name}.png").read_bytes()[1:4] == b"PNG"
        assert f"figures/{name}.png" in markdown
    assert page.count("data:image/svg+xml;base64,") == len(FIGURES)


def test_the_page_needs_nothing_else(folder):
    page = (folder / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "url(" not in page


def test_the_facts_are_there(folder):
    markdown = (folder / "report.md").read_text("utf-8")
    for text in (
        "jax",
        "seeds 0, 1, 2",
        "14 of 15 started runs complete",
        "Not the published task",
        "64 tokens",
        "root operator",
        "25.1 %",
        "The training loss is nan",
        "learning rate",
        "abc1234",
        "3.15.1",
        "16.00 GB",
        "smaller than the published",
        "[MAX 1 2 3",
    ):
        assert text in markdown, text
    accuracy = Summary.load(folder).mechanisms[0].score
    assert f"{100 * accuracy.mean:.1f} ± {100 * accuracy.half_width:.1f}" in markdown


def test_a_report_comes_out_the_same_again(folder):
    before = (folder / "report.md").read_bytes()
    write_report(folder)
    assert (folder / "report.md").read_bytes() == before


def test_targets_are_those_of_the_conventional_run_of_the_same_seed(folder):
    summary = Summary.load(folder)
    baseline, other = summary.mechanisms[0].runs[1], summary.mechanisms[2].runs[1]
    target = 0.116 + 0.9 * (baseline.best_validation - 0.116)
    assert summary.to_baseline_gain(other) == other.reached(target)
    own = summary.to_own_best(other)
    assert own == other.reached(0.9 * other.best_validation)
    other.curve = other.curve[:1]
    assert summary.to_baseline_gain(other) is None


@pytest.mark.parametrize(
    "results",
    [
        [canned_result("gravitational", 0)],
        [canned_result("dot_product", 0)],
        [canned_result("dot_product", 0, epochs=0, status="failed", reason="no")],
        [canned_result("dot_product", 0, epochs=1, status="stopped", reason="time")],
        [
            canned_result("dot_product", 0, epochs=1),
            canned_result("gravitational", 1, epochs=1),
        ],
    ],
    ids=["no baseline", "one", "failed", "stopped", "no pair"],
)
def test_a_report_of_little_is_written(tmp_path, results):
    path = write_report(write_comparison(tmp_path, results))
    text = path.read_text("utf-8")
    assert "<h2>Summary</h2>" in text
    assert "nan" not in text.lower().replace("finance", "")


def test_a_sample_is_headed_as_one(tmp_path):
    result = canned_result("dot_product", 0)
    result.experiment = dataclasses.replace(result.experiment, task="imdb")
    write_comparison(tmp_path, [result], source="sample, not IMDb")
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    first = text.splitlines()[0]
    assert first == "# Attention mechanisms on byte-level IMDb: sample, not IMDb"
    assert "**Sample, not IMDb.** These rows were generated." in text


def test_a_folder_without_a_comparison_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"comparison\.json"):
        write_report(tmp_path)
    (tmp_path / "comparison.json").write_text("{}")
    with pytest.raises(ValueError, match="Not a comparison"):
        write_report(tmp_path)
    for facts in (
        {"baselines": {"majority": "high"}},
        {"rows": {"train": "many"}},
        {"settings": None},
    ):
        write_comparison(tmp_path, [canned_result("dot_product", 0)], **facts)
        with pytest.raises(ValueError, match=r"Received: .* in .*comparison\.json"):
            write_report(tmp_path)
    write_comparison(tmp_path, [canned_result("dot_product", 0)], format=99)
    with pytest.raises(ValueError, match="of this version"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda kept: b"", lambda kept: kept[:99], lambda kept: b"not a picture"]
)
def test_damaged_attention_maps_are_named(tmp_path, damage):
    write_comparison(tmp_path, [canned_result("dot_product", 0)])
    path = tmp_path / "dot_product-seed0" / "attention.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"Received: .*attention\.npz"):
        write_report(tmp_path)
    # A run that is not complete may have left half of the file.
    stopped = canned_result("dot_product", 0, epochs=1, status="stopped")
    stopped.save(path.with_name("result.json"))
    assert write_report(tmp_path).exists()


def test_text_is_escaped(tmp_path):
    blocks = [
        Heading("A <b> & c", 1),
        Paragraph("**bold** `a < b`", notice=True),
        Bullets(["x"]),
        Table(("h",), [["a|b"]], ["#123456"]),
    ]
    write_html(blocks, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "<h1>A &lt;b&gt; &amp; c</h1>" in page
    assert "<strong>bold</strong> <code>a &lt; b</code>" in page
    assert "background:#123456" in page
    write_markdown(blocks, tmp_path / "r.md")
    assert "| a\\|b |" in (tmp_path / "r.md").read_text("utf-8")
