"""Mean ranks and the tests on them, compared with a published example."""

import numpy as np
import pytest

from keras_twa.experiments.ranks import critical_difference
from keras_twa.experiments.ranks import rank_figure
from keras_twa.experiments.ranks import ranking
from keras_twa.figure import house_style

pytestmark = pytest.mark.once

# Table 6 of Demšar, 2006, but for .976: its .975 has more digits, by its rank there.
SCORES = {
    "C4.5": [
        *(0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661),
        *(0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957),
    ],
    "m": [
        *(0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668),
        *(0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978),
    ],
    "cf": [
        *(0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609),
        *(0.563, 0.866, 1.000, 0.965, 0.614, 0.976, 0.946),
    ],
    "m+cf": [
        *(0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685),
        *(0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970),
    ],
}


def test_a_published_example_has_the_published_numbers():
    found = ranking(SCORES)
    assert list(found.mean_ranks) == ["m+cf", "m", "cf", "C4.5"]
    ranks = [round(rank, 3) for rank in found.mean_ranks.values()]
    assert ranks == [1.964, 2.0, 2.893, 3.143]
    assert found.count == 14
    # The paper does not correct for equal ranks: pairs in three rows, all four in one.
    equal = (3 * (2**3 - 2) + 4**3 - 4) / (14 * 4 * (4**2 - 1))
    assert found.statistic * (1 - equal) == pytest.approx(9.28, abs=0.01)
    assert 0.01 < found.p_value < 0.05
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.pairs_that_differ == []


@pytest.mark.parametrize(
    ("mechanisms", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_critical_differences_are_those_of_the_table(mechanisms, quantile):
    want = quantile * np.sqrt(mechanisms * (mechanisms + 1) / (6 * 8))
    assert critical_difference(mechanisms, 8) == pytest.approx(want, rel=1e-3)


def test_friedman_by_hand():
    # Ranks 1 2 3, 1 3 2, 1 2 3: sums 3, 7, 8. 12 / (3·3·4) · (9 + 49 + 64) - 3·3·4
    found = ranking({"a": [9, 9, 9], "b": [8, 7, 8], "c": [7, 8, 7]})
    assert found.statistic == pytest.approx(14 / 3)


def test_lower_may_be_better_and_alpha_counts():
    errors = {"bad": [3.0] * 3, "good": [1.0] * 3, "middle": [2.0] * 3}
    found = ranking(errors, higher_is_better=False)
    assert found.mean_ranks == {"good": 1.0, "middle": 2.0, "bad": 3.0}
    assert found.differ("good", "bad") and found.differ("bad", "good")
    assert found.pairs_that_differ == [("good", "bad")]
    strict = ranking(errors, higher_is_better=False, alpha=1e-3)
    assert strict.pairs_that_differ == []


def test_equal_mechanisms_do_not_differ():
    found = ranking({"a": [0.5, 0.6], "b": [0.5, 0.6], "c": [0.5, 0.6]})
    assert (found.statistic, found.p_value) == (0.0, 1.0)
    assert set(found.mean_ranks.values()) == {2.0}


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"a": [1, 2], "b": [1, 2]}, "three mechanisms"),
        ({"a": [1], "b": [1], "c": [1]}, "two or more data sets"),
        ({"a": [1, 2], "b": [1, 2], "c": [1]}, "Received: {'a': 2, 'b': 2, 'c': 1}"),
        ({"a": [1, 2], "b": [1, 2], "c": [1, float("nan")]}, "must be finite"),
    ],
)
def test_incomplete_scores_are_an_error(scores, message):
    with pytest.raises(ValueError, match=message):
        ranking(scores)


def test_alpha_is_checked():
    with pytest.raises(ValueError, match=r"Received: alpha=1\.5"):
        ranking(SCORES, alpha=1.5)


@house_style()
def test_a_figure_names_all():
    found = ranking(SCORES)
    names = dict.fromkeys(SCORES, "black")
    figure = rank_figure(found, {name: f"the {name}" for name in SCORES}, names)
    assert figure.png.startswith(b"\x89PNG")
    assert figure.name == "ranks"
    assert "α = 0.05" in figure.caption
