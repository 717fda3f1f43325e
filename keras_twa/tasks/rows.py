"""What the rows of any task offer to training and reports."""

from collections.abc import Iterator
from typing import Any
from typing import Protocol

from keras_twa.tasks.fingerprint import Fingerprint


class Batches(Protocol):
    """The batches of a split, the same for the same seed, epoch and number."""

    def __len__(self) -> int:
        """Returns the number of batches of an epoch."""

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, Any, Any]]:
        """Yields `(inputs, targets, weights)` of the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of batches to skip at the beginning.
        """


class Rows(Protocol):
    """The training, validation and test rows of a task.

    A task with pictures of its attention also has `example`, the tokens of one row, and
    `symbols`, a function from tokens to one text each. A task with further test rows,
    such as longer ones, has their names in `further_tests`: each is then a split for
    `evaluation_batches`.
    """

    source: str
    """The source of the rows, for the heading of a report."""
    data: str
    """The value of `--data` that gives the same rows again."""

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of "train", "validation" and "test"."""

    @property
    def fingerprint(self) -> Fingerprint:
        """A text for each split that identifies its rows."""

    def train_batches(self, batch_size: int, seed: int) -> Batches:
        """Returns shuffled batches of the training rows."""

    def evaluation_batches(self, split: str, batch_size: int) -> Batches:
        """Returns the batches of "validation" or "test", in order."""
