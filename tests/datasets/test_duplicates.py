"""What splits share: it is counted, and generated data shares nothing."""

import itertools

import numpy as np
import pytest

from keras_twa.datasets import cifar10
from keras_twa.datasets import count_shared
from keras_twa.datasets import dates
from keras_twa.datasets import imdb
from keras_twa.datasets import irregular_series
from keras_twa.datasets import listops
from keras_twa.datasets.duplicates import number_rows
from keras_twa.datasets.token_sequences import TokenSequences

pytestmark = pytest.mark.once

ROWS = np.array([[1, 2, 0], [3, 0, 0], [1, 2, 0], [2, 1, 0], [0, 0, 0]])


def of_irregular_series():
    """Return rows of values, one for each series."""
    splits = irregular_series.load_data(512, 128, 128)
    return [inputs["values"] for inputs, _ in splits]


def of_listops(folder):
    """Return small expressions, of which few are different."""
    limits = {"min_length": 1, "max_length": 12, "max_depth": 3, "max_args": 3}
    splits = listops.load_data(2000, 500, 500, cache_dir=folder, **limits)
    return [x for x, _ in splits]


GENERATED = {
    "dates": lambda folder: [x for x, _ in dates.load_data(60_000, 5_000, 5_000)],
    "imdb sample": lambda folder: [x for x, _ in imdb.load_data("sample")[:3]],
    "image sample": lambda folder: [x for x, _ in cifar10.load_data("sample")[:2]],
    "irregular series": lambda folder: of_irregular_series(),
    "listops": of_listops,
}


def test_counts_rows_each_time_they_occur():
    others = np.array([[1, 2], [9, 9], [1, 2]])
    assert count_shared(ROWS, others) == 2
    assert count_shared(others, ROWS) == 2
    assert count_shared(ROWS, others[1:2]) == 0
    small = TokenSequences(np.array([1, 2, 7], "uint16"), np.array([2, 1]))
    assert count_shared(ROWS, small) == 2
    # What an empty row and padding have in common.
    assert count_shared(ROWS, np.zeros((1, 1), int)) == 1


def test_numbers_equal_rows_alike():
    assert number_rows(ROWS).tolist() == [0, 1, 0, 2, 3]
    assert number_rows(TokenSequences.from_padded(ROWS)).tolist() == [0, 1, 0, 2, 3]


@pytest.mark.parametrize("name", GENERATED)
def test_splits_of_generated_data_share_no_row(name, tmp_path):
    splits = GENERATED[name](tmp_path)
    rows = [{row.tobytes() for row in split} for split in splits]
    assert all(len(found) > 100 for found in rows)
    for one, other in itertools.combinations(rows, 2):
        assert not one & other
