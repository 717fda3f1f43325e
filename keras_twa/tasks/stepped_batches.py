"""Epochs of a fixed number of batches, whatever the number of rows."""

import itertools
from collections.abc import Iterator
from typing import Any

from keras_twa.tasks.rows import Batches


class SteppedBatches:
    """Other batches, so many in each epoch: several passes over the rows, or a part.

    A validation after each pass over a few rows would take longer than the pass itself.

    Args:
        batches: The batches of one pass over the rows.
        steps: The number of batches of an epoch.

    Raises:
        ValueError: If `steps` is not a positive integer.
    """

    def __init__(self, batches: Batches, steps: int) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(
                f"`steps` must be a positive integer. Received: steps={steps!r}"
            )
        self.batches = batches
        self.steps = steps

    def __len__(self) -> int:
        """Returns the number of batches of an epoch, the same for all epochs."""
        return self.steps

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, Any, Any]]:
        """Yields `(inputs, targets, weights)` of the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of batches to skip at the beginning.
        """
        size = len(self.batches)
        first, end = epoch * self.steps + start, (epoch + 1) * self.steps
        for number in range(first // size, -(-end // size)):
            begin = max(first - number * size, 0)
            count = min(end - number * size, size) - begin
            yield from itertools.islice(self.batches.epoch(number, begin), count)
