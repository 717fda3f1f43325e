"""The rows of a comparison: those for training, validation and the test."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.comparing.fit_rows import WrittenGroup
from keras_twa.comparing.fit_rows import write_rows

# Of the training rows, for splits that are not given.
HELD_OUT = 0.1
SEED = 0


@dataclass(frozen=True)
class Data:
    """The data of a comparison, as it was given.

    Args:
        x: Inputs of the training rows, or a data set.
        y: Targets.
        sample_weight: Weights of the rows.
        class_weight: Weights of the classes.
        validation_data: Validation rows, or `None`.
        test_data: Test rows, or `None`.
        validation_split: The last part of the training rows, for validation.
        steps: Number of batches to read of a data set, or `None` for all.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    class_weight: dict[int, float] | None = None
    validation_data: Any = None
    test_data: Any = None
    validation_split: float = 0.0
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.x is None:
            raise ValueError("`x` must be the training rows. Received: x=None")
        share = self.validation_split
        if isinstance(share, bool) or not isinstance(share, (int, float)):
            share = -1.0
        if not 0 <= share < 1:
            raise ValueError(
                "`validation_split` must be at least 0 and below 1. "
                f"Received: validation_split={self.validation_split!r}"
            )
        if self.validation_split and self.validation_data is not None:
            raise ValueError(
                "Only one of `validation_data` and `validation_split` is possible. "
                f"Received: validation_split={self.validation_split}, and data"
            )

    def write(self, folder: Path) -> "WrittenData":
        """Writes the rows, and decides which belong to which split.

        Args:
            folder: The folder of the files.

        Raises:
            ValueError: If there are no rows, or too few for the splits.
        """
        weights = _with_classes(self.y, self.sample_weight, self.class_weight)
        train = write_rows(folder, "train", self.x, self.y, weights, self.steps)
        splits, notes = _held_out(
            train,
            self.validation_split,
            self.validation_data is None,
            self.test_data is None,
        )
        written = {name: (train, rows) for name, rows in splits.items()}
        for name, data in (
            ("validation", self.validation_data),
            ("test", self.test_data),
        ):
            if data is not None:
                found = write_rows(folder, name, *_unpacked(name, data))
                written[name] = (found, [np.arange(group.count) for group in found])
        groups = {
            name: _write_numbers(folder, name, *written[name])
            for name in ("train", "validation", "test")
        }
        return WrittenData(groups, notes, train[0].batch_size)


@dataclass(frozen=True)
class WrittenData:
    """Rows in files.

    Args:
        groups: For each split, pairs of the files of `(inputs, targets, weights)` and
            the file with the numbers of the rows that count.
        notes: Sentences about rows that were held out.
        batch_size: The size of the first batch, if the training rows came in batches.
    """

    groups: dict[str, list[tuple[Any, str]]]
    notes: list[str]
    batch_size: int | None


def _unpacked(name: str, data: Any) -> tuple[Any, ...]:
    """The arguments of `write_rows`, of what `validation_data` may be."""
    if isinstance(data, (tuple, list)):
        if len(data) not in (2, 3):
            raise ValueError(
                f"`{name}_data` must be `(x, y)`, `(x, y, weights)` or a data set. "
                f"Received: {len(data)} parts"
            )
        return tuple(data)
    return (data,)


def _with_classes(y: Any, sample_weight: Any, class_weight: Any) -> Any:
    """Weights of rows, those of their classes included."""
    if class_weight is None:
        return sample_weight
    if y is None or isinstance(y, (dict, list, tuple)):
        raise ValueError(
            "`class_weight` needs one array of labels as `y`. "
            f"Received: y of type {type(y).__name__}"
        )
    labels = np.asarray(y)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(axis=-1)
    labels = labels.reshape(len(labels), -1)
    if labels.shape[1] != 1:
        raise ValueError(
            "`class_weight` needs one label for each row. "
            f"Received: y of shape {np.shape(y)}"
        )
    # As in `fit`, a class without a weight counts once.
    weights = np.array([class_weight.get(int(label), 1.0) for label in labels[:, 0]])
    if sample_weight is not None:
        weights = weights * np.asarray(sample_weight)
    return weights.astype("float32")


def _held_out(
    train: list[WrittenGroup], last: float, validation: bool, test: bool
) -> tuple[dict[str, list[np.ndarray]], list[str]]:
    """Which training rows belong to which split.

    Args:
        train: The groups of the training rows.
        last: The last part of the rows, for validation.
        validation: Whether validation rows are needed.
        test: Whether test rows are needed.

    Returns:
        The rows of each group by split, and sentences about them.
    """
    counts = [group.count for group in train]
    total = sum(counts)
    splits, notes = {}, []
    left = np.arange(total)
    if last:
        first = int(total * (1 - last))
        left, splits["validation"] = left[:first], left[first:]
        validation = False
    rng = np.random.default_rng(SEED)
    for name, needed in (("test", test), ("validation", validation)):
        if not needed:
            continue
        count = max(1, round(HELD_OUT * total))
        mixed = rng.permutation(left)
        splits[name], left = np.sort(mixed[:count]), np.sort(mixed[count:])
        notes.append(
            f"No `{name}_data` was given: {count:,} of the {total:,} rows were held "
            "out of the training at random. If neighbouring rows resemble each other, "
            "the scores are too good."
        )
    splits["train"] = left
    for name, rows in splits.items():
        if not len(rows):
            raise ValueError(
                f"There are too few training rows to hold some out. Received: {total} "
                f"rows, of which none are left for {name}"
            )
    edges = np.cumsum([0, *counts])
    found = {
        name: [
            rows[(rows >= start) & (rows < end)] - start
            for start, end in itertools.pairwise(edges)
        ]
        for name, rows in splits.items()
    }
    return found, notes


def _write_numbers(
    folder: Path, split: str, groups: list[WrittenGroup], chosen: list[np.ndarray]
) -> list[tuple[Any, str]]:
    found = []
    for number, (group, rows) in enumerate(zip(groups, chosen, strict=True)):
        if len(rows):
            name = f"{split}-{number}-rows.npy"
            np.save(folder / name, rows)
            found.append((group.names, name))
    return found
