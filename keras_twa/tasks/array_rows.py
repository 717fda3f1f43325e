"""Rows of arrays, as `fit` takes them, ready for training."""

import functools
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
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
            name: f"{_count(split)} rows, sha256 {hash_of(by_path(split))}"
            for name, split in self.splits.items()
        }

    def train_batches(self, batch_size: int, seed: int) -> "ArrayBatches":
        """Returns shuffled batches of the training rows."""
        return ArrayBatches([whole(self.splits["train"])], batch_size, seed)

    def evaluation_batches(self, split: str, batch_size: int) -> "ArrayBatches":
        """Returns the batches of a split, in order."""
        return ArrayBatches([whole(self.splits[split])], batch_size)


@dataclass(frozen=True)
class Group:
    """Rows of the same shapes.

    Args:
        arrays: `(inputs, targets, weights)`.
        rows: The numbers of the rows that count.
    """

    arrays: tuple[Any, Any, Any]
    rows: np.ndarray


def whole(arrays: tuple[Any, Any, Any]) -> Group:
    """Returns all rows of some arrays."""
    return Group(arrays, np.arange(_count(arrays)))


class ArrayBatches:
    """Batches of arrays. The last one of each group may have fewer rows.

    They depend only on the seed and the number of the epoch. A run can therefore
    continue in the middle of an epoch, in another process.

    Args:
        groups: The rows, grouped by their shapes. A batch has rows of one group.
        batch_size: Number of rows in a batch.
        seed: Seed of the order of the rows; `None` keeps their order.
    """

    def __init__(
        self, groups: Sequence[Group], batch_size: int, seed: int | None = None
    ) -> None:
        self.groups = groups
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Returns the number of batches of an epoch, the same for all epochs."""
        return sum(-(-len(group.rows) // self.batch_size) for group in self.groups)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, Any, Any]]:
        """Yields `(inputs, targets, weights)` of the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of batches to skip at the beginning.
        """
        import keras

        for group, chosen in self._batches(epoch)[start:]:
            yield keras.tree.map_structure(_taken(chosen), group.arrays)

    def _batches(self, epoch: int) -> list[tuple[Group, np.ndarray]]:
        """The rows of each batch."""
        rng = np.random.default_rng((self.seed or 0, epoch))
        found = []
        for group in self.groups:
            rows = group.rows
            if self.seed is not None:
                rows = rng.permutation(rows)
            for first in range(0, len(rows), self.batch_size):
                # Sorted: arrays may be files on a disk. The order within a batch has no
                # effect on its gradient.
                found.append((group, np.sort(rows[first : first + self.batch_size])))
        if self.seed is None or len(self.groups) == 1:
            return found
        return [found[index] for index in rng.permutation(len(found))]


def _taken(rows: np.ndarray) -> Any:
    return lambda array: None if array is None else np.asarray(array[rows])


def _arrays(split: Any) -> list[Any]:
    # Slow to import, and the command line needs only the names of tasks.
    import keras

    return [array for array in keras.tree.flatten(split) if array is not None]


def _count(split: Any) -> int:
    return len(_arrays(split)[0])


def by_path(split: Any) -> dict[str, Any]:
    """Returns the arrays of `(inputs, targets, weights)` by their places."""
    import keras

    parts = dict(zip(("inputs", "targets", "weights"), split, strict=True))
    return {
        "/".join(map(str, path)): array
        for path, array in keras.tree.flatten_with_path(parts)
        if array is not None
    }
