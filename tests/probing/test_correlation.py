"""Rank correlations of scores on probes with accuracies elsewhere."""

import numpy as np
import pytest
from scipy import stats

from keras_twa.probing.correlation import accuracies_in
from keras_twa.probing.correlation import correlation
from keras_twa.probing.correlation import matched
from tests.experiments.canned_results import canned_result
from tests.experiments.test_across import SCORES
from tests.experiments.test_across import summaries

pytestmark = pytest.mark.once

NAMES = [f"m{number}" for number in range(12)]


def named(values):
    return dict(zip(NAMES, map(float, values), strict=True))


def test_it_is_that_of_scipy_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    y = x + rng.normal(size=12)
    found = correlation(named(x), named(y) | {"other": 0.0})
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert -1 <= found.low < found.value < found.high <= 1
    assert found.count == 12
    assert found == correlation(named(x), named(y))
    assert found.text.startswith(f"{found.value:+.2f} (")


def test_the_interval_is_that_of_a_plain_bootstrap():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 12))
    draws = rng.integers(12, size=(3000, 12))
    plain = [stats.spearmanr(x[draw], y[draw]).statistic for draw in draws]
    low, high = np.quantile(plain, [0.025, 0.975])
    found = correlation(named(x), named(y))
    assert abs(found.low - low) < 0.06 and abs(found.high - high) < 0.06


def test_equal_ranks_are_shared():
    x, y = np.repeat([0.0, 1.0], 6), np.arange(12.0)
    found = correlation(named(x), named(y))
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_few_or_equal_values_have_none():
    few = {"a": 0.1, "b": 0.2, "c": 0.3}
    assert correlation(few, few) is None
    assert correlation(named(np.zeros(12)), named(np.arange(12))) is None


def test_other_options_of_a_mechanism_are_matched_if_there_is_one_choice():
    scores = {"local(window=8)": 0.1, "linear": 0.2, "sparse": 0.3, "lsh": 0.4}
    others = {
        "local(window=16)": 1.0,
        "linear": 2.0,
        "sparse(block_size=4)": 3.0,
        "sparse(block_size=8)": 4.0,
        "[local, linear]": 5.0,
    }
    found, replaced = matched(scores, others)
    assert found == {"linear": 2.0, "local(window=8)": 1.0}
    assert replaced == {"local(window=16)": "local(window=8)"}


def test_accuracies_of_comparisons_are_read(tmp_path):
    summaries(tmp_path, SCORES)
    found = accuracies_in(tmp_path)
    assert list(found) == [f"{tmp_path.name}/first", f"{tmp_path.name}/second"]
    assert found[f"{tmp_path.name}/first"]["gravitational"] == pytest.approx(0.7)
    assert list(accuracies_in(tmp_path / "first")) == ["first"]


def test_results_of_runs_are_read(tmp_path):
    for seed in (0, 1):
        result = canned_result("dot_product", seed)
        result.save(tmp_path / f"dot_product-seed{seed}.json")
    canned_result("gravitational", 0, status="stopped").save(tmp_path / "x.json")
    (values,) = accuracies_in(tmp_path).values()
    scores = [canned_result("dot_product", seed).score for seed in (0, 1)]
    assert values == {"dot_product": pytest.approx(np.mean(scores))}


def test_of_a_table_only_chosen_rates_count(tmp_path):
    (tmp_path / "results.csv").write_text(
        "data,attention,seed,learning_rate,validation_percent,test_percent\n"
        "one,linear,0,0.001,60,99\n"
        "one,linear,0,0.004,80,70\n"
        "one,linear,1,0.004,75,72\n"
        "two,rwkv,0,0.001,60,50\n"
    )
    name = tmp_path.name
    assert accuracies_in(tmp_path) == {
        f"{name}/one": {"linear": 71.0},
        f"{name}/two": {"rwkv": 50.0},
    }
    (tmp_path / "results.csv").write_text("data,attention\none,linear\n")
    with pytest.raises(ValueError, match="Not a table of results"):
        accuracies_in(tmp_path)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no comparison, and no results"):
        accuracies_in(tmp_path)
