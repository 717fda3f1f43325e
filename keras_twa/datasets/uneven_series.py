"""Generated series whose class depends on time in different ways. No downloads."""

from typing import NamedTuple

import numpy as np

from keras_twa.datasets import checks
from keras_twa.suggestions import did_you_mean

KINDS = ("swing", "recall", "decay", "order")
# The mean gap is 1; after one observation in twelve, a pause of this mean follows.
PAUSE_PROBABILITY = 1 / 12
PAUSE = 8.0
# Of "swing": the period of each class, and the noise of an observation.
PERIODS = (6.0, 7.5, 9.5)
NOISE = 0.3
# Of "recall": the number of values, and how long ago the wanted one may be.
VALUES = 4
AGES = (1.0, 20.0)
# Of "decay": the time after which a share 1 / e of an impulse is left.
DECAY = 8.0


class UnevenSeries(NamedTuple):
    """Series of one split.

    Attributes:
        values: float32 `(rows, length, features)`.
        times: float64 `(rows, length)`, from 0 on.
        labels: int32 `(rows,)`.
    """

    values: np.ndarray
    times: np.ndarray
    labels: np.ndarray


def load_data(
    kind="swing", num_train=1_024, num_validation=256, num_test=1_024, length=32, seed=0
):
    """Generates labelled series that are observed at uneven times.

    The gaps between observations are exponential with mean 1. After one observation in
    twelve, a pause of 8 on average follows. The index of an observation therefore
    reveals little about its time.

    | Kind | A series | Its class |
    | --- | --- | --- |
    | `"swing"` | an oscillation of random phase and amplitude, with noise | its period: 6, 7.5 or 9.5 |
    | `"recall"` | values from 0 to 3, one-hot; the last step states an age from 1 to 20 | the value that was valid that long before the last step |
    | `"decay"` | impulses of random size | the sign of their sum, in which each decays with a time constant of 8 |
    | `"order"` | two marks among noise | which of the two came first; times have no effect |

    Args:
        kind: The kind of the series.
        num_train: Number of training series.
        num_validation: Number of validation series.
        num_test: Number of test series.
        length: Observations of each series, at least 8.
        seed: Non-negative integer.

    Returns:
        `UnevenSeries` of training, validation and test.

    Raises:
        ValueError: If the kind is unknown, or another argument is out of range.

    Example:

    >>> train, _, _ = load_data("recall", 16, 4, 4, length=10)
    >>> train.values.shape, train.times.shape, train.labels.shape
    ((16, 10, 5), (16, 10), (16,))
    """  # noqa: E501
    if kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS, 1)
        raise ValueError(
            f"Unknown kind. {hint}Choose from: {', '.join(KINDS)}. "
            f"Received: kind={kind!r}"
        )
    checks.integers_from(
        1, num_train=num_train, num_validation=num_validation, num_test=num_test
    )
    checks.integers_from(8, length=length)
    checks.integers_from(0, seed=seed)
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    make = {"swing": _swing, "recall": _recall, "decay": _decay, "order": _order}[kind]
    splits = []
    for count in (num_train, num_validation, num_test):
        times = _times(rng, count, length)
        values, labels = make(rng, times)
        splits.append(
            UnevenSeries(values.astype("float32"), times, labels.astype("int32"))
        )
    return tuple(splits)


def solve(kind, series):
    """Returns the classes that a solver with the right formula finds.

    Args:
        kind: The kind of the series.
        series: `UnevenSeries`.

    Returns:
        int32 `(rows,)`. Only those of "swing" can be wrong, because of the noise.
    """
    values, times, _ = series
    if kind == "swing":
        found = _best_period(values[..., 0], times)
    elif kind == "recall":
        wanted = times[:, -1] - AGES[1] * values[:, -1, VALUES]
        found = _value_at(values[:, :-1, :VALUES].argmax(axis=2), times[:, :-1], wanted)
    elif kind == "decay":
        found = _decayed(values[..., 0], times) > 0
    else:
        first, second = (values[..., 1 + mark].argmax(axis=1) for mark in range(2))
        found = first > second
    return found.astype("int32")


def _times(rng, rows, length):
    gaps = rng.exponential(1.0, (rows, length - 1))
    pauses = rng.random(gaps.shape) < PAUSE_PROBABILITY
    gaps = gaps + pauses * rng.exponential(PAUSE, gaps.shape)
    return np.cumsum(np.pad(gaps, ((0, 0), (1, 0))), axis=1)


def _swing(rng, times):
    rows = len(times)
    labels = rng.integers(0, len(PERIODS), rows)
    periods = np.array(PERIODS)[labels][:, None]
    phases = rng.uniform(0, 2 * np.pi, (rows, 1))
    sizes = rng.uniform(0.7, 1.3, (rows, 1))
    values = sizes * np.sin(2 * np.pi * times / periods + phases)
    return (values + rng.normal(0, NOISE, times.shape))[..., None], labels


def _recall(rng, times):
    rows, length = times.shape
    symbols = rng.integers(0, VALUES, (rows, length - 1))
    # Ages before the first observation have no value.
    longest = np.minimum(AGES[1], times[:, -1] - 1e-6)
    ages = rng.uniform(np.minimum(AGES[0], longest), longest)
    values = np.zeros((rows, length, VALUES + 1))
    values[:, :-1, :VALUES] = np.eye(VALUES)[symbols]
    values[:, -1, VALUES] = ages / AGES[1]
    # As float32 states it, so that a solver finds the same.
    stated = AGES[1] * values[:, -1, VALUES].astype("float32")
    return values, _value_at(symbols, times[:, :-1], times[:, -1] - stated)


def _decay(rng, times):
    impulses = rng.normal(size=times.shape).astype("float32")
    return impulses[..., None], _decayed(impulses, times) > 0


def _order(rng, times):
    rows, length = times.shape
    values = rng.normal(0, NOISE, (rows, length, 3))
    places = np.argsort(rng.random((rows, length)), axis=1)[:, :2]
    for mark in range(2):
        values[np.arange(rows), places[:, mark], 1 + mark] = 4.0
    return values, places[:, 0] > places[:, 1]


def _value_at(symbols, times, wanted):
    """The last symbol whose time is not after the wanted one."""
    before = (times <= wanted[:, None]).sum(axis=1)
    return symbols[np.arange(len(symbols)), np.maximum(before - 1, 0)]


def _decayed(impulses, times):
    age = times[:, -1:] - times
    return (impulses * np.exp(-age / DECAY)).sum(axis=1)


def _best_period(values, times):
    """The class whose oscillation explains most of each series."""
    errors = []
    for period in PERIODS:
        angles = 2 * np.pi * times / period
        waves = np.stack([np.sin(angles), np.cos(angles)], axis=2)
        normal = waves.swapaxes(1, 2) @ waves
        weights = np.linalg.solve(normal, waves.swapaxes(1, 2) @ values[..., None])
        errors.append(((values[..., None] - waves @ weights) ** 2).sum(axis=(1, 2)))
    return np.argmin(errors, axis=0)
