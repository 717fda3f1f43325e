"""What several probes draw, and how they guess."""

import numpy as np

from keras_twa.tasks.settings import Settings


def distinct(
    rng: np.random.Generator, count: int, choices: int, chosen: int
) -> np.ndarray:
    """Returns different numbers below `choices` in each row, `(count, chosen)`."""
    return np.argsort(rng.random((count, choices)), axis=1)[:, :chosen]


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """Returns where each of some parts starts, which follow one another.

    Args:
        lengths: The lengths of the parts of each row, `(N, U)`.

    Returns:
        The starts `(N, U)`, from 0.
    """
    return np.cumsum(lengths, axis=1) - lengths


def put(
    rows: np.ndarray, places: np.ndarray, values: np.ndarray, where: np.ndarray
) -> None:
    """Writes values into rows.

    Args:
        rows: `(N, T)`, which are changed.
        places: The steps, `(N, U)`.
        values: What to write, `(N, U)`.
        where: Which of them to write, boolean `(N, U)`.
    """
    row, part = np.nonzero(where)
    rows[row, places[row, part]] = values[row, part]


def most_frequent_so_far(tokens: np.ndarray, first: int, number: int) -> np.ndarray:
    """Returns the most frequent token of a range at or before each step, `(N, T)`.

    Args:
        tokens: `(N, T)`.
        first: The first token of the range.
        number: How many there are.
    """
    is_one = tokens[:, :, None] == first + np.arange(number)
    return first + np.argmax(np.cumsum(is_one, axis=1), axis=2)


def beyond_training(count: int, length: int, settings: Settings) -> np.ndarray:
    """Returns weights of steps `(count, length)`: 1 where answers count, or 0.

    In rows longer than in training, only the steps beyond the length of training rows
    count.
    """
    weights = np.ones((count, length), "float32")
    if length > settings.max_length:
        weights[:, : settings.max_length] = 0.0
    return weights


def chance_of_one(values: int, kinds: int) -> float:
    """Returns how often one of the values of a row, at random, is the right answer.

    Args:
        values: How many values a row has, of which one is the answer.
        kinds: How many different values there are.
    """
    same = 1 / values
    return same + (1 - same) / kinds
