"""Equal rows, within a data set and in two of its splits."""

import numpy as np

from keras_twa.datasets.token_sequences import TokenSequences


def count_shared(rows, others):
    """Returns how many of the rows are also in `others`, counting repeated rows.

    A model that trains on `others` has seen the answers to these rows.

    Args:
        rows: `TokenSequences`, or an array `(rows, length)` padded with 0.
        others: The same.

    Example:

    >>> count_shared(np.array([[1, 2], [3, 0], [3, 0]]), np.array([[3], [4]]))
    2
    """
    known = set(_keys(others))
    return sum(key in known for key in _keys(rows))


def number_rows(rows):
    """Returns an integer from 0 on for each row, the same for equal rows.

    Args:
        rows: `TokenSequences`, or an array `(rows, length)` padded with 0.

    Example:

    >>> number_rows(np.array([[1, 2], [3, 0], [1, 2]])).tolist()
    [0, 1, 0]
    """
    numbers = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in _keys(rows)], int)


def _keys(rows):
    if not isinstance(rows, TokenSequences):
        rows = TokenSequences.from_padded(rows)
    return (row.astype("int32").tobytes() for row in rows)
