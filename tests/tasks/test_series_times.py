"""Times from 0 on, in a unit of the data or of the user."""

import numpy as np
import pytest

from keras_twa.tasks.series_times import relative_times

pytestmark = pytest.mark.once


def lists(arrays):
    return [each.tolist() for each in arrays]


def test_the_median_gap_is_the_unit():
    # Gaps of 2, 0, 4, 8: the one of 0 does not count.
    times, unit = relative_times([np.array([5.0, 7, 7, 11]), np.array([-8.0, 0])])
    assert lists(times) == [[0, 0.5, 0.5, 1.5], [0, 2]]
    assert unit == "4"


def test_dates_have_units_too():
    dates = np.array(["2024-02-28T23:00", "2024-02-29T00:30"], "datetime64[m]")
    times, unit = relative_times([dates, dates[:1]])
    assert (lists(times), unit) == ([[0, 1], [0]], "1.5 h")
    times, unit = relative_times([dates.astype("datetime64[ns]")], "30min")
    assert (lists(times), unit) == ([[0, 3]], "30 min")
    _, unit = relative_times([dates], "2D")
    assert unit == "2 d"
    _, unit = relative_times([dates], "250ms")
    assert unit == "0.25 s"


def test_a_unit_may_be_text():
    times, unit = relative_times([np.array([0.0, 5])], "2.5")
    assert (lists(times), unit) == ([[0, 2]], "2.5")


def test_without_gaps_the_unit_stays():
    times, unit = relative_times([np.array([3.0]), np.array([4.0, 4.0])])
    assert (lists(times), unit) == ([[0], [0, 0]], "1")


def test_far_times_stay_exact():
    ids = 1_700_000_000.0 + np.array([0, 0.5, 1.0])
    times, _ = relative_times([ids])
    assert lists(times) == [[0, 1, 2]]


@pytest.mark.parametrize("unit", ["0", "-1", "nan", "inf", "1h", "", [1]])
def test_a_wrong_unit_of_numbers_is_refused(unit):
    with pytest.raises(ValueError, match=r"positive number\. Received: time_unit="):
        relative_times([np.array([0.0, 5])], unit)


@pytest.mark.parametrize("unit", ["0h", "-1h", "nan", "60", 60, "1 fortnight", ""])
def test_a_wrong_unit_of_dates_is_refused(unit):
    with pytest.raises(ValueError, match=r"1h, 15min or 1D\. Received: time_unit="):
        relative_times([np.array(["2024-01-01"], "datetime64[s]")], unit)
