"""Series at uneven times: their classes, and that times are needed to find them."""

import numpy as np
import pytest

from keras_twa.datasets import uneven_series

pytestmark = pytest.mark.once


@pytest.mark.parametrize("kind", uneven_series.KINDS)
def test_a_solver_finds_the_classes(kind):
    train, validation, test = uneven_series.load_data(kind, 400, 50, 2_000)
    share = np.mean(uneven_series.solve(kind, test) == test.labels)
    assert share == 1.0 if kind != "swing" else share > 0.97
    assert [len(each.labels) for each in (train, validation, test)] == [400, 50, 2_000]
    assert test.values.dtype == "float32"
    assert test.values.shape[:2] == test.times.shape == (2_000, 32)
    # No class is rare.
    counts = np.bincount(test.labels)
    assert counts.min() > 0.8 * len(test.labels) / len(counts)
    # The same seed gives the same series, another one others.
    again = uneven_series.load_data(kind, 400, 50, 2_000)[2]
    np.testing.assert_array_equal(again.values, test.values)
    other = uneven_series.load_data(kind, 400, 50, 2_000, seed=1)[2]
    assert (other.values != test.values).any()
    # No series is in two splits.
    rows = np.concatenate([each.times for each in (train, validation, test)])
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_times_start_at_0_and_rise_unevenly():
    _, _, test = uneven_series.load_data("swing", 1, 1, 500)
    assert (test.times[:, 0] == 0).all()
    gaps = np.diff(test.times)
    assert (gaps > 0).all()
    # Mean 1, and pauses of mean 8 after one in twelve.
    assert np.mean(gaps) == pytest.approx(1 + 8 / 12, rel=0.1)


@pytest.mark.parametrize(
    ("kind", "most"), [("swing", 0.6), ("recall", 0.75), ("decay", 0.95)]
)
def test_steps_instead_of_times_find_fewer(kind, most):
    _, _, test = uneven_series.load_data(kind, 1, 1, 2_000)
    mean_gap = np.diff(test.times).mean()
    steps = mean_gap * np.arange(32.0) + np.zeros((2_000, 1))
    found = uneven_series.solve(kind, test._replace(times=steps))
    assert np.mean(found == test.labels) < most


def test_order_needs_no_times():
    _, _, test = uneven_series.load_data("order", 1, 1, 100)
    found = uneven_series.solve("order", test._replace(times=0 * test.times))
    np.testing.assert_array_equal(found, test.labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "swng"}, r"Did you mean 'swing'.*Received: kind='swng'"),
        ({"kind": 3}, "Received: kind=3"),
        ({"num_train": 0}, "Received: num_train=0"),
        ({"length": 7}, "Received: length=7"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        uneven_series.load_data(**arguments)
