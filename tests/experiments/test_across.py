"""Tables over several comparisons."""

import dataclasses

import pytest

from keras_twa.experiments.across import Across
from keras_twa.experiments.summary import Summary
from keras_twa.tasks import Metric
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison

pytestmark = pytest.mark.once

SCORES = {
    "first": {"dot_product": 0.5, "gravitational": 0.7, "multi_timescale": 0.6},
    "second": {"dot_product": 0.4, "gravitational": 0.8, "multi_timescale": 0.8},
}


def summaries(folder, scores, baselines=None, seeds=(0, 1)):
    """Comparisons with these mean scores."""
    found = {}
    for name, means in scores.items():
        results = []
        for attention, mean in means.items():
            for seed in seeds:
                result = canned_result(attention, seed, epochs=1)
                result.test["accuracy"] = mean + 0.01 * (seed - 0.5)
                results.append(result)
        facts = {"baselines": (baselines or {}).get(name, {"majority": 0.1})}
        facts["explanations"] = {"majority": "always the same"}
        write_comparison(folder / name, results, **facts)
        found[name] = Summary.load(folder / name)
    return found


def test_mechanisms_are_ordered_by_their_mean_rank(tmp_path):
    found = Across(summaries(tmp_path, SCORES))
    assert found.order == ["gravitational", "multi_timescale", "dot_product"]
    table = found.score_table()
    assert table.header == ["mechanism", "mean rank", "first", "second"]
    assert table.rows == [
        ["gravitational", "1.2", "**70.0 ± 6.4**", "**80.0 ± 6.4**"],
        ["multi timescale", "1.8", "60.0 ± 6.4", "**80.0 ± 6.4**"],
        ["dot product (conventional)", "3.0", "50.0 ± 6.4", "40.0 ± 6.4"],
    ]
    assert len(set(table.colours)) == 3


def test_a_mechanism_without_a_score_somewhere_has_no_rank(tmp_path):
    scores = {name: dict(means) for name, means in SCORES.items()}
    scores["first"]["temporal_weighted"] = 0.9
    found = Across(summaries(tmp_path, scores, seeds=(0,)))
    assert found.score_table().rows[-1] == ["temporal weighted", "–", "**89.5**", "–"]
    assert "temporal_weighted" not in found.ranking.mean_ranks


def test_few_comparisons_have_no_ranks(tmp_path):
    found = Across(summaries(tmp_path, {"first": SCORES["first"]}))
    assert found.ranking is None
    assert found.score_table().rows[0][1] == "–"
    found.write(tmp_path / "out" / "README.md", "Title")
    assert "Ranks need three mechanisms" in (tmp_path / "out/README.md").read_text()
    assert not (tmp_path / "out" / "figures").exists()


def test_baselines_stand_beside(tmp_path):
    baselines = {"first": {"majority": 0.1}, "second": {"majority": 0.2, "best": 0.99}}
    found = Across(summaries(tmp_path, SCORES, baselines))
    assert found.baseline_table().rows == [
        ["majority", "10.0", "20.0"],
        ["best", "–", "99.0"],
    ]
    assert found.explanation_table().rows == [["majority", "always the same"]]


def test_it_is_written_with_its_figure(tmp_path):
    path = tmp_path / "out" / "README.md"
    Across(summaries(tmp_path, SCORES)).write(path, "Some title")
    text = path.read_text("utf-8")
    assert text.startswith("# Some title\n")
    assert "over the seeds 0, 1" in text
    assert "Friedman's test on 2 data sets: χ² = " in text
    assert "of 3 pairs do" in text
    assert "| first | 16,000 | 1,000 | 2,000 | 6 of 6 |" in text
    assert (tmp_path / "out" / "figures" / "ranks.png").exists()


def test_metrics_must_be_the_same(tmp_path):
    found = summaries(tmp_path, SCORES)
    with pytest.raises(ValueError, match="Received: 0 comparisons"):
        Across({})
    error = dataclasses.asdict(Metric("error", higher_is_better=False))
    found["second"].facts["metric"] = error
    with pytest.raises(ValueError, match="2 comparisons with 2 metrics"):
        Across(found)
