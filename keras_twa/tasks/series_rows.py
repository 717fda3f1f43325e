"""Rows of series with times, of equal or different lengths, ready for training."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Self

import numpy as np

from keras_twa.tasks.array_rows import SPLITS
from keras_twa.tasks.array_rows import ArrayRows

# The values, the times and the target of each series.
Split = tuple[Sequence[np.ndarray], Sequence[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SeriesRows(ArrayRows):
    """The splits of a task that classifies series, or predicts a number for each.

    The inputs are a dictionary: "values", float32 `(rows, T, features)`; "times",
    float32 `(rows, T)`; and "mask", bool `(rows, T)`, which is false after the end of a
    series. Values there are 0.

    Args:
        classes: The name of each label, or `None` if the targets are numbers.
        note: What readers of a report should know about the rows.
    """

    classes: tuple[str, ...] | None = None
    note: str = ""

    @classmethod
    def of(
        cls,
        splits: Mapping[str, Split],
        classes: Sequence[str] | None = None,
        **facts: Any,
    ) -> Self:
        """Returns rows of series: padded, and with features of mean 0 and variance 1.

        Args:
            splits: For "train", "validation" and "test": a list of values of shape
                `(T, features)`, a list of times of shape `(T,)`, and an array of one
                target for each series. T may differ between series.
            classes: The name of each label, or `None` if the targets are numbers.
            **facts: The other arguments of `ArrayRows`.

        Raises:
            ValueError: If a split is missing or empty, or its parts have different
                numbers of series.
        """
        length = max(len(each) for name in SPLITS for each in splits[name][0])
        steps = np.concatenate(splits["train"][0]).astype("float64")
        mean, scale = steps.mean(axis=0), steps.std(axis=0)
        # A feature that never changes stays 0. Its scale may be a rounding error.
        changes = scale > 1e-12 * np.abs(steps).max(axis=0)
        scale = np.where(changes, scale, 1.0)
        kind = "int32" if classes is not None else "float32"
        padded = {}
        for name, (values, times, targets) in splits.items():
            inputs = {
                "values": _padded([(each - mean) / scale for each in values], length),
                "times": _padded(times, length),
                "mask": np.arange(length) < np.array([[len(each)] for each in values]),
            }
            padded[name] = (inputs, np.asarray(targets, kind), None)
        names = None if classes is None else tuple(classes)
        return cls(padded, classes=names, **facts)


def _padded(series: Sequence[np.ndarray], length: int) -> np.ndarray:
    found = np.zeros((len(series), length, *np.shape(series[0])[1:]), "float32")
    for row, each in zip(found, series, strict=True):
        row[: len(each)] = each
    return found
