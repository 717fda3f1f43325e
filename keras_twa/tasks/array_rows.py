"""Rows of arrays, as `fit` takes them, ready for training."""

import functools
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import hash_of

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ArrayRows:
    """The splits of a task whose rows are arrays.

    Args:
        splits: `(inputs, targets, weights)` of "train", "validation" and "test". Inputs
            and targets are arrays, or dictionaries, lists or tuples of them, with one
            row for each of the first axis; weights are such arrays, or `None`.
        source: The source of the rows, for the heading of a report.
        data: The value of `--data` that gives the same rows again.
        steps_per_epoch: Batches of an epoch of training. `None` means one pass over the
            training rows. For few rows, several passes save evaluations.

    Raises:
        ValueError: If a split is missing or empty, its arrays have different numbers of
            rows, or `steps_per_epoch` is not positive.
    """

    splits: Mapping[str, tuple[Any, Any, Any]]
    source: str = "arrays"
    data: str = "auto"
    steps_per_epoch: int | None = None

    def __post_init__(self) -> None:
        if self.steps_per_epoch is not None and self.steps_per_epoch < 1:
            raise ValueError(
                "`steps_per_epoch` must be positive. "
                f"Received: steps_per_epoch={self.steps_per_epoch}"
            )
        if set(self.splits) != set(SPLITS):
            raise ValueError(
                f"There must be the splits {', '.join(SPLITS)}. "
                f"Received: {sorted(self.splits)}"
            )
        for name, split in self.splits.items():
            counts = [len(array) for array in _arrays(split)]
            if len(set(counts)) != 1 or not counts[0]:
                raise ValueError(
                    "Inputs, targets and weights must have the same number of rows, at "
                    f"least one. Received: {counts} rows in the split {name!r}"
                )

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each split."""
        return {name: _count(split) for name, split in self.splits.items()}

    @functools.cached_property
    def fingerprint(self) -> Fingerprint:
        """A text for each split that identifies its rows."""
        return {
            name: f"{_count(split)} rows, sha256 {hash_of(_by_path(split))}"
            for name, split in self.splits.items()
        }

    def train_batches(self, batch_size: int, seed: int) -> "ArrayBatches":
        """Returns shuffled batches of the training rows."""
        train, steps = self.splits["train"], self.steps_per_epoch
        return ArrayBatches(train, batch_size, seed, steps)

    def evaluation_batches(self, split: str, batch_size: int) -> "ArrayBatches":
        """Returns the batches of a split, in order."""
        return ArrayBatches(self.splits[split], batch_size)


class ArrayBatches:
    """Batches of arrays. The last one of a pass over the rows may have fewer rows.

    They depend only on the seed and the number of the epoch. A run can therefore
    continue in the middle of an epoch, in another process.

    Args:
        split: `(inputs, targets, weights)`.
        batch_size: Number of rows in a batch.
        seed: Seed of the order of the rows; `None` keeps their order.
        steps: Batches of an epoch. Defaults to those of one pass over the rows.
    """

    def __init__(
        self,
        split: Any,
        batch_size: int,
        seed: int | None = None,
        steps: int | None = None,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps

    def __len__(self) -> int:
        """Returns the number of batches of an epoch, the same for all epochs."""
        return self.steps or self._steps_of_pass

    @property
    def _steps_of_pass(self) -> int:
        return -(-_count(self.split) // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, Any, Any]]:
        """Yields `(inputs, targets, weights)` of the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of batches to skip at the beginning.
        """
        first, end = epoch * len(self) + start, (epoch + 1) * len(self)
        size = self._steps_of_pass
        for number in range(first // size, -(-end // size)):
            rows = np.arange(_count(self.split))
            if self.seed is not None:
                rows = np.random.default_rng((self.seed, number)).permutation(rows)
            for step in range(max(first, number * size), min(end, (number + 1) * size)):
                place = step % size * self.batch_size
                # Sorted: arrays may be files on a disk. The order within a batch has no
                # effect on its gradient.
                chosen = np.sort(rows[place : place + self.batch_size])
                yield keras.tree.map_structure(_taken(chosen), self.split)


def _taken(rows: np.ndarray) -> Any:
    return lambda array: None if array is None else np.asarray(array[rows])


def _arrays(split: Any) -> list[Any]:
    return [array for array in keras.tree.flatten(split) if array is not None]


def _count(split: Any) -> int:
    return len(_arrays(split)[0])


def _by_path(split: Any) -> dict[str, Any]:
    parts = dict(zip(("inputs", "targets", "weights"), split, strict=True))
    return {
        "/".join(map(str, path)): array
        for path, array in keras.tree.flatten_with_path(parts)
        if array is not None
    }
