"""Irregular series: reproducible, of the process that they say, and forecastable."""

import numpy as np
import pytest

from keras_twa.datasets import irregular_series

pytestmark = pytest.mark.once

SIZES = {"num_train": 4000, "num_validation": 10, "num_test": 20}


@pytest.fixture(scope="module")
def train():
    return irregular_series.load_data(**SIZES)[0]


def same(first, second):
    return all(
        np.array_equal(a[1], b[1])
        and all(np.array_equal(a[0][name], b[0][name]) for name in a[0])
        for a, b in zip(first, second, strict=True)
    )


def test_shapes_and_types():
    for (inputs, targets), rows in zip(
        irregular_series.load_data(7, 3, 2, length=5), (7, 3, 2), strict=True
    ):
        assert inputs["values"].shape == (rows, 5)
        assert inputs["times"].shape == (rows, 6)
        assert targets.shape == (rows,)
        for array in (*inputs.values(), targets):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()


def test_seeds_matter_and_splits_differ():
    one = irregular_series.load_data(4, 4, 4, seed=1)
    assert same(one, irregular_series.load_data(4, 4, 4, seed=1))
    assert not same(one, irregular_series.load_data(4, 4, 4, seed=2))
    assert not same(one[:1], one[1:2])
    # The training series stay what they are, whatever the other splits.
    assert same(one[:1], irregular_series.load_data(4, 9, 1, seed=1)[:1])


def test_times_rise_with_gaps(train):
    times = train[0]["times"]
    steps = np.diff(times.astype("float64"), axis=1)
    assert (times[:, 0] == 0).all()
    assert (steps >= 0).all()
    assert steps[:, -1].max() <= 6.0 + 1e-4
    assert steps[:, -1].mean() == pytest.approx(3.0, abs=0.2)
    waits = steps[:, :-1]
    want = 1 + irregular_series.GAP_PROBABILITY * irregular_series.GAP_LENGTH
    assert waits.mean() == pytest.approx(want, rel=0.03)
    assert np.mean(waits > 10) > 0.01


def test_values_have_the_covariance_that_they_say(train):
    inputs, targets = train
    times, values = inputs["times"].astype("float64"), inputs["values"]
    assert targets.var() == pytest.approx(1.0, abs=0.06)
    noise = irregular_series.NOISE**2
    assert values.var() == pytest.approx(1.0 + noise, abs=0.05)
    lags = times[:, -1:] - times[:, :-1]
    products = targets[:, None] * values
    for lag in (1.0, 3.0, 6.0, 12.0, 18.0):
        near = np.abs(lags - lag) < 0.25
        want = irregular_series.covariance(lags[near]).mean()
        assert products[near].mean() == pytest.approx(want, abs=0.1)


def test_best_forecast_equals_a_loop():
    (inputs, _), _, _ = irregular_series.load_data(3, 1, 1, length=6)
    found = irregular_series.exact_forecast(inputs)
    for row in range(3):
        times = inputs["times"][row].astype("float64")
        matrix = np.zeros((7, 7))
        for i, j in np.ndindex(7, 7):
            lag = abs(times[i] - times[j])
            wave = 0.7 * np.exp(-lag / 40) * np.cos(2 * np.pi * lag / 12)
            matrix[i, j] = wave + 0.3 * np.exp(-lag / 80)
        observed = matrix[:6, :6] + 0.2**2 * np.eye(6)
        want = matrix[6, :6] @ np.linalg.inv(observed) @ inputs["values"][row]
        assert found[row] == pytest.approx(want, abs=1e-5)


def test_times_are_worth_having(train):
    inputs = {name: array[:1000] for name, array in train[0].items()}
    targets = train[1][:1000]
    left = np.mean((irregular_series.exact_forecast(inputs) - targets) ** 2)
    without = np.concatenate([inputs["values"], np.ones((len(targets), 1))], axis=1)
    weights, *_ = np.linalg.lstsq(without, targets)
    of_order = np.mean((without @ weights - targets) ** 2)
    last = np.mean((inputs["values"][:, -1] - targets) ** 2)
    assert left < 0.5 * of_order
    assert left < 0.5 * last
    # The forecast of the process is that good for the moments that were drawn.
    assert 0.05 < left < 0.5


def test_blocks_do_not_matter(monkeypatch, train):
    inputs = {name: array[:50] for name, array in train[0].items()}
    want = irregular_series.exact_forecast(inputs)
    monkeypatch.setattr(irregular_series, "ROWS_PER_BLOCK", 16)
    np.testing.assert_allclose(irregular_series.exact_forecast(inputs), want, 1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_train": 0},
        {"num_train": 16.0},
        {"num_validation": 1.5},
        {"num_test": -1},
        {"length": 0},
        {"max_horizon": 0.0},
        {"max_horizon": float("inf")},
        {"seed": -1},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received: "):
        irregular_series.load_data(**{**SIZES, **arguments})
