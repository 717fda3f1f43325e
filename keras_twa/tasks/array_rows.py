"""Rows of arrays, as `fit` takes them, ready for training."""

import functools
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

    Raises:
        ValueError: If a split is missing or empty, or its arrays have different numbers
            of rows.
    """

    splits: Mapping[str, tuple[Any, Any, Any]]
    source: str = "arrays"
    data: str = "auto"

    def __post_init__(self) -> None:
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
        return ArrayBatches(self.splits["train"], batch_size, seed)

    def evaluation_batches(self, split: str, batch_size: int) -> "ArrayBatches":
        """Returns the batches of a split, in order."""
        return ArrayBatches(self.splits[split], batch_size)


class ArrayBatches:
    """Batches of arrays. The last one of an epoch may have fewer rows.

    They depend only on the seed and the number of the epoch. A run can therefore
    continue in the middle of an epoch, in another process.

    Args:
        split: `(inputs, targets, weights)`.
        batch_size: Number of rows in a batch.
        seed: Seed of the order of the rows; `None` keeps their order.
    """

    def __init__(self, split: Any, batch_size: int, seed: int | None = None) -> None:
        self.split = split
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Returns the number of batches of an epoch, the same for all epochs."""
        return -(-_count(self.split) // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, Any, Any]]:
        """Yields `(inputs, targets, weights)` of the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of batches to skip at the beginning.
        """
        import keras

        rows = np.arange(_count(self.split))
        if self.seed is not None:
            rows = np.random.default_rng((self.seed, epoch)).permutation(rows)
        for first in range(start * self.batch_size, len(rows), self.batch_size):
            # Sorted: arrays may be files on a disk. The order within a batch has no
            # effect on its gradient.
            chosen = np.sort(rows[first : first + self.batch_size])
            yield keras.tree.map_structure(_taken(chosen), self.split)


def _taken(rows: np.ndarray) -> Any:
    return lambda array: None if array is None else np.asarray(array[rows])


def _arrays(split: Any) -> list[Any]:
    # Slow to import, and the command line needs only the names of tasks.
    import keras

    return [array for array in keras.tree.flatten(split) if array is not None]


def _count(split: Any) -> int:
    return len(_arrays(split)[0])


def _by_path(split: Any) -> dict[str, Any]:
    import keras

    parts = dict(zip(("inputs", "targets", "weights"), split, strict=True))
    return {
        "/".join(map(str, path)): array
        for path, array in keras.tree.flatten_with_path(parts)
        if array is not None
    }
