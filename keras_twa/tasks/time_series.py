"""Series of the UCR and UEA archives with one label each, as aeon brings them."""

import dataclasses
from typing import Any

import numpy as np

from keras_twa import extras
from keras_twa.datasets import time_series
from keras_twa.datasets.time_series import ARCHIVES
from keras_twa.datasets.time_series import TimeSeries
from keras_twa.tasks import series
from keras_twa.tasks.series import series_classification
from keras_twa.tasks.series_rows import SeriesRows
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.stepped_batches import SteppedBatches
from keras_twa.tasks.task import Progress
from keras_twa.tasks.token_classifier import majority

DEFAULT = "GunPoint"
VALIDATION_FRACTION = 0.2
# The task's own settings: an epoch is so many batches, because some data sets have too
# few series for a validation after each pass.
OPTIONS = {"steps_per_epoch": 20}
ROCKET_SEED = 0
NEIGHBOUR, ROCKET = "1-NN, Euclidean", "MiniRocket"
DTW, INCEPTION, HIVE_COTE = (
    f"{name} (published)" for name in ("1-NN, DTW", "InceptionTime", "HIVE-COTE 2")
)
# Test accuracies on the archive's own split. `NEIGHBOUR` equals the archive's number on
# these data sets, so that the data and the split are the same. It does not on the two
# data sets with several features, of which there is none here.
PUBLISHED = {
    "GunPoint": {DTW: 0.9067, INCEPTION: 1.0, HIVE_COTE: 1.0},
    "ItalyPowerDemand": {DTW: 0.9504, INCEPTION: 0.9660, HIVE_COTE: 0.9699},
    "ArrowHead": {DTW: 0.7029, INCEPTION: 0.8629, HIVE_COTE: 0.8686},
    "OSULeaf": {DTW: 0.5909, INCEPTION: 0.9215, HIVE_COTE: 0.9669},
    "ACSF1": {DTW: 0.64, INCEPTION: 0.91, HIVE_COTE: 0.91},
    "PickupGestureWiimoteZ": {DTW: 0.66},
}
ELSEWHERE = "not computed here, on the archive's own split, from"
EXPLANATIONS = {
    **series.MAJORITY,
    NEIGHBOUR: "the label of the nearest training series",
    ROCKET: "a linear classifier of random convolutions, computed by aeon",
    DTW: f"{ELSEWHERE} the UCR archive (Dau et al., 2019)",
    INCEPTION: f"{ELSEWHERE} timeseriesclassification.com, as aeon has it",
    HIVE_COTE: f"{ELSEWHERE} timeseriesclassification.com, as aeon has it",
}


@dataclasses.dataclass(frozen=True)
class ArchiveRows(SeriesRows):
    """The splits of a data set, with epochs of a fixed number of batches.

    Args:
        steps_per_epoch: Batches of an epoch.
    """

    steps_per_epoch: int = OPTIONS["steps_per_epoch"]

    def train_batches(self, batch_size: int, seed: int) -> Any:
        """Returns shuffled batches of the training rows."""
        batches = super().train_batches(batch_size, seed)
        return SteppedBatches(batches, self.steps_per_epoch)


def load(
    data: str, settings: Settings, progress: Progress | None = None
) -> ArchiveRows:
    """Returns the rows.

    Args:
        data: The name of a data set, as in `keras_twa.datasets.time_series.NAMES`.
            "auto" is GunPoint.
        settings: The `Settings`. If a series is longer than `max_length`, consecutive
            time steps become one token.
        progress: Not called: it takes no time.

    Raises:
        ValueError: If there is no such data set.
        ImportError: If aeon cannot be imported.
    """
    name = DEFAULT if data == "auto" else data
    found = time_series.load_data(name)
    size = steps_per_token(found, settings)
    held_out = validation_rows(found.train[1], settings.data_seed)
    train, test = (
        _tokens(values, labels, size) for values, labels in (found.train, found.test)
    )
    splits = {
        "train": _chosen(train, ~held_out),
        "validation": _chosen(train, held_out),
        "test": test,
    }
    return ArchiveRows.of(
        splits,
        found.classes,
        source=f"{name} of the {ARCHIVES[name]} archive",
        data=name,
        note=_note(found, held_out, size),
        steps_per_epoch=settings.options["steps_per_epoch"],
    )


def steps_per_token(found: TimeSeries, settings: Settings) -> int:
    """Returns the number of time steps in a token: the fewest for `max_length`."""
    return -(-found.longest // settings.max_length)


def validation_rows(labels: np.ndarray, seed: int) -> np.ndarray:
    """Chooses the rows that are held out: about a fifth of each class.

    Args:
        labels: `(rows,)`.
        seed: Seed of the choice.

    Returns:
        bool `(rows,)`. It is true for at least one row of each class with two or more.
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        wanted = max(1, round(VALIDATION_FRACTION * len(rows)))
        chosen[rows[: min(wanted, len(rows) - 1)]] = True
    return chosen


def baselines(rows: SeriesRows) -> dict[str, float]:
    """Returns test accuracies without attention.

    Those that train do so on all training series, also those held out for validation.
    """
    found = time_series.load_data(rows.data)
    return {
        **majority(rows),
        NEIGHBOUR: nearest_neighbour(found),
        ROCKET: minirocket(found),
        **PUBLISHED.get(rows.data, {}),
    }


def nearest_neighbour(found: TimeSeries) -> float:
    """Returns the test accuracy of the nearest training series, by Euclidean distance.

    Shorter series end with zeros. As in the UCR archive, a series of one feature then
    gets mean 0 and variance 1.
    """
    from scipy.spatial.distance import cdist

    train, test = (_padded(split[0], found.longest) for split in found[:2])
    if train.shape[-1] == 1:
        train, test = (_scaled(each) for each in (train, test))
    distances = cdist(test.reshape(len(test), -1), train.reshape(len(train), -1))
    labels = found.train[1][distances.argmin(axis=1)]
    return float(np.mean(labels == found.test[1]))


def minirocket(found: TimeSeries) -> float:
    """Returns the test accuracy of MiniRocket, with a fixed seed.

    Shorter series end with zeros.

    Raises:
        ImportError: If aeon cannot be imported.
    """
    try:
        from aeon.classification.convolution_based import MiniRocketClassifier
    except ImportError as error:
        message = extras.explain(error, "MiniRocket", "aeon", "timeseries")
        raise ImportError(message) from error
    train, test = (
        np.moveaxis(_padded(split[0], found.longest), 1, 2) for split in found[:2]
    )
    model = MiniRocketClassifier(random_state=ROCKET_SEED).fit(train, found.train[1])
    return float(np.mean(model.predict(test) == found.test[1]))


def _note(found: TimeSeries, held_out: np.ndarray, size: int) -> str:
    """How training differs from that of published results."""
    text = (
        f"{held_out.sum()} of the archive's {len(held_out)} training series are held "
        "out."
    )
    if size > 1:
        text += (
            f" {size} consecutive time steps are one token, because series have up to "
            f"{found.longest:,} steps."
        )
    return text


def _chosen(split: Any, rows: np.ndarray) -> Any:
    """The rows of a split for which a value is true."""
    indices = np.flatnonzero(rows)
    values, times, labels = split
    return [values[i] for i in indices], [times[i] for i in indices], labels[indices]


def _tokens(values: list[np.ndarray], labels: np.ndarray, size: int) -> Any:
    """A split with `size` time steps in a token. The last step fills the last token."""
    found = []
    for each in values:
        missing = -len(each) % size
        whole = np.pad(each, ((0, missing), (0, 0)), mode="edge")
        found.append(whole.reshape(len(whole) // size, -1))
    return found, [np.arange(len(each), dtype="float32") for each in found], labels


def _padded(values: list[np.ndarray], length: int) -> np.ndarray:
    found = np.zeros((len(values), length, values[0].shape[1]))
    for row, each in zip(found, values, strict=True):
        row[: len(each)] = each
    return found


def _scaled(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=1, keepdims=True)
    return (values - values.mean(axis=1, keepdims=True)) / np.where(
        spread > 0, spread, 1
    )


TIME_SERIES = series_classification(
    name="time_series",
    title="time series",
    load=load,
    baselines=baselines,
    explanations=EXPLANATIONS,
    note=lambda rows, settings: rows.note,
    options=OPTIONS,
    caveats=(
        "Few series are held out for validation, so that the choice of the epoch is a "
        "rough one. One test series counts as much as a percentage point or more on "
        "the small data sets.",
    ),
    presets={
        "quick": Settings(
            **{
                **series.QUICK,
                "max_length": 48,
                "epochs": 10,
                "patience": 10,
                "warmup_steps": 20,
                "options": OPTIONS,
            }
        )
    },
    used=(*series.USED, "max_length"),
)
