"""Labelled series of the UCR and UEA archives, as aeon brings them. No downloads."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_twa import extras
from keras_twa.suggestions import did_you_mean

# The data sets of which aeon has a train and a test file. Their archive.
ARCHIVES = {
    "GunPoint": "UCR",
    "ItalyPowerDemand": "UCR",
    "ArrowHead": "UCR",
    "OSULeaf": "UCR",
    "ACSF1": "UCR",
    "PickupGestureWiimoteZ": "UCR",
    "BasicMotions": "UEA",
    "JapaneseVowels": "UEA",
}
NAMES = tuple(ARCHIVES)


class TimeSeries(NamedTuple):
    """The splits of a data set as its archive defines them.

    Attributes:
        train: Tuple `(series, labels)`: a list of float64 arrays `(T, features)`, where
            T may differ between series, and int32 labels.
        test: The same.
        classes: The name of each label.
    """

    train: tuple[list[np.ndarray], np.ndarray]
    test: tuple[list[np.ndarray], np.ndarray]
    classes: tuple[str, ...]

    @property
    def longest(self) -> int:
        """The length of the longest series."""
        return max(len(each) for split in (self.train, self.test) for each in split[0])


def load_data(name="GunPoint"):
    """Reads a data set of the UCR archive (one feature) or the UEA archive (several).

    It needs the extra `timeseries`. The files come with the package aeon, and nothing
    is downloaded. Values are as in the archive, at evenly spaced times.

    | Name | Training series | Test series | Time steps | Features | Classes |
    | --- | ---: | ---: | ---: | ---: | ---: |
    | GunPoint | 50 | 150 | 150 | 1 | 2 |
    | ItalyPowerDemand | 67 | 1,029 | 24 | 1 | 2 |
    | ArrowHead | 36 | 175 | 251 | 1 | 3 |
    | OSULeaf | 200 | 242 | 427 | 1 | 6 |
    | ACSF1 | 100 | 100 | 1,460 | 1 | 10 |
    | PickupGestureWiimoteZ | 50 | 50 | 29 to 361 | 1 | 10 |
    | BasicMotions | 40 | 40 | 100 | 6 | 4 |
    | JapaneseVowels | 270 | 370 | 7 to 29 | 12 | 9 |

    Args:
        name: The name of the data set. Defaults to `"GunPoint"`.

    Returns:
        A `TimeSeries`: `train`, `test` and `classes`.

    Raises:
        ValueError: If the name is unknown, or this version of aeon lacks its files.
        ImportError: If aeon cannot be imported.

    References:

    - [Dau et al., 2019](https://arxiv.org/abs/1810.07758), the UCR archive
    - [Bagnall et al., 2018](https://arxiv.org/abs/1811.00075), the UEA archive
    """
    if name not in NAMES:
        hint = did_you_mean(str(name), NAMES, 1)
        raise ValueError(
            f"Unknown data set. {hint}Choose from: {', '.join(NAMES)}. "
            f"Received: name={name!r}"
        )
    (train, names), (test, test_names) = _read(name)
    classes = tuple(sorted(set(names), key=lambda text: (len(text), text)))
    return TimeSeries(
        train=(train, _labels(names, classes)),
        test=(test, _labels(test_names, classes)),
        classes=classes,
    )


def _labels(names, classes):
    return np.array([classes.index(name) for name in names], "int32")


def _read(name):
    """The series of both files of a data set, and the names of their classes."""
    try:
        import aeon
        from aeon.datasets import load_from_ts_file
    except ImportError as error:
        message = extras.explain(
            error, "Reading series of the archives", "aeon", "timeseries"
        )
        raise ImportError(message) from error
    # Not `aeon.datasets.load_classification`, which downloads what is missing.
    folder = Path(aeon.__file__).parent / "datasets" / "data"
    files = _files(folder, name)
    if not all(path.is_file() for path in files):
        there = [n for n in NAMES if all(p.is_file() for p in _files(folder, n))]
        raise ValueError(
            "This version of aeon lacks the files of the data set. It has those of: "
            f"{', '.join(there) or 'none'}. Received: name={name!r}"
        )
    found = [load_from_ts_file(str(path)) for path in files]
    return [([each.T for each in series], list(map(str, y))) for series, y in found]


def _files(folder, name):
    return [folder / name / f"{name}_{split}.ts" for split in ("TRAIN", "TEST")]
