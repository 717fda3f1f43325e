"""Dates in words: what they say is what they mean."""

import datetime

import numpy as np
import pytest

from keras_twa.datasets import dates

pytestmark = pytest.mark.once

SMALL = {"num_train": 400, "num_validation": 50, "num_test": 60}


def texts(rows):
    return [dates.decode(row) for row in rows]


def test_targets_are_the_dates_of_their_sources():
    for (source, target), rows in zip(
        dates.load_data(**SMALL), SMALL.values(), strict=True
    ):
        assert source.dtype == target.dtype == np.int32
        assert len(source) == len(target) == rows
        assert (target[:, 0] == dates.START).all()
        assert (target[:, -1] == dates.END).all()
        assert target.shape[1] == len("1982-03-04") + 2
        for text, wanted in zip(texts(source), texts(target), strict=True):
            assert text in dates.phrasings(datetime.date.fromisoformat(wanted))


def test_no_date_twice_and_all_phrasings():
    splits = dates.load_data(**SMALL)
    found = [text for _, target in splits for text in texts(target)]
    assert len(set(found)) == len(found) == sum(SMALL.values())
    assert {text[:2] for text in found} == {"19", "20"}
    source, target = splits[0]
    ways = [
        dates.phrasings(datetime.date.fromisoformat(wanted)).index(text)
        for text, wanted in zip(texts(source), texts(target), strict=True)
    ]
    assert set(ways) == set(range(8))


def test_seeds_matter():
    one, again, other = (dates.load_data(**SMALL, seed=seed) for seed in (1, 1, 2))
    for (source, target), (x, y) in zip(one, again, strict=True):
        assert np.array_equal(source, x)
        assert np.array_equal(target, y)
    assert texts(one[0][1]) != texts(other[0][1])


@pytest.mark.parametrize(
    ("day", "text"),
    [
        ((1900, 1, 1), "the first of january nineteen hundred"),
        ((1905, 12, 12), "the twelfth of december nineteen oh five"),
        ((1999, 2, 28), "the twenty-eighth of february nineteen ninety-nine"),
        ((2000, 2, 29), "the twenty-ninth of february two thousand"),
        ((2008, 5, 20), "the twentieth of may two thousand and eight"),
        ((2010, 8, 31), "the thirty-first of august twenty ten"),
        ((2099, 10, 3), "the third of october twenty ninety-nine"),
    ],
)
def test_says_dates_as_people_do(day, text):
    assert dates.phrasings(datetime.date(*day))[0] == text


def test_every_date_has_words_of_its_own():
    first = datetime.date(1900, 1, 1)
    for way in (0, 1, 2, 3):
        said = {
            dates.phrasings(first + datetime.timedelta(days=days))[way]
            for days in range(0, 73_049, 7)
        }
        assert len(said) == len(range(0, 73_049, 7))


@pytest.mark.parametrize(
    "text", ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "30th"]
)
def test_writes_days_as_people_do(text):
    number = int(text[:-2])
    written = dates.phrasings(datetime.date(2024, 3, number))[5]
    assert written == f"the {text} of march 2024"


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_train": 0},
        {"num_train": 16.0},
        {"num_validation": 1.5},
        {"seed": -1},
        {"num_test": 73_000},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received: "):
        dates.load_data(**{**SMALL, **arguments})
