"""Generated rows: fresh ones at every step of training, and fixed ones for tests."""

import functools
from collections.abc import Iterator
from collections.abc import Mapping

import numpy as np

from keras_twa.tasks.array_rows import SPLITS
from keras_twa.tasks.array_rows import ArrayBatches
from keras_twa.tasks.array_rows import by_path
from keras_twa.tasks.array_rows import whole
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import hash_of
from keras_twa.tasks.generated import GENERATED
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.settings import Settings

# The splits have random numbers of their own, and so do the batches of each run.
TRAIN, VALIDATION, TEST = range(3)


class ProbeRows:
    """The rows of a probe.

    Those of training are drawn when they are needed, and no batch comes twice. Those of
    validation and of the test are always the same.

    Args:
        probe: The `Probe`.
        settings: The `Settings`.
    """

    source = GENERATED
    data = GENERATED

    def __init__(self, probe: Probe, settings: Settings) -> None:
        self.probe = probe
        self.settings = settings

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each split; of training rows, those of an epoch."""
        return {name: self.settings.value(f"num_{name}") for name in SPLITS}

    @property
    def further_tests(self) -> tuple[str, ...]:
        """The names of the splits with test rows of other lengths."""
        return tuple(
            name_of_test(times) for times in self.probe.test_lengths if times != 1
        )

    @functools.cached_property
    def splits(self) -> Mapping[str, Batch]:
        """Rows of each split; of training rows, the first ones of the seed 0."""
        return {"train": next(self.train_batches(8, 0).epoch())} | {
            name: self._split(name)
            for name in ("validation", "test", *self.further_tests)
        }

    @functools.cached_property
    def fingerprint(self) -> Fingerprint:
        """A text for each split that identifies its rows."""
        return {
            name: f"{len(split[1])} rows, sha256 {hash_of(by_path(split))}"
            for name, split in self.splits.items()
        }

    @property
    def solved(self) -> float:
        """The share of the test's answers that the solver of the probe gets right."""
        inputs, targets, weights = self.splits["test"]
        found = self.probe.solve(inputs, self.settings)
        return self.probe.score(targets, found, weights)

    def train_batches(self, batch_size: int, seed: int) -> "FreshBatches":
        """Returns batches of fresh rows."""
        return FreshBatches(self.probe, self.settings, batch_size, seed)

    def evaluation_batches(self, split: str, batch_size: int) -> ArrayBatches:
        """Returns the batches of "validation", "test" or one of `further_tests`."""
        return ArrayBatches([whole(self.splits[split])], batch_size)

    def _split(self, name: str) -> Batch:
        if name == "validation":
            kind, times = VALIDATION, 1
        else:
            names = {name_of_test(n): n for n in (1, *self.probe.test_lengths)}
            kind, times = TEST, names[name]
        rng = np.random.default_rng((self.settings.data_seed, kind, times))
        return self.probe.draw(
            rng,
            self.counts[SPLITS[kind]],
            times * self.settings.max_length,
            self.settings,
        )


def name_of_test(times: int) -> str:
    """Returns the name of test rows that are so many times as long as in training."""
    return "test" if times == 1 else f"test at {times} times the length"


def batches_of_epoch(settings: Settings, batch_size: int) -> int:
    """Returns the number of batches between two validations."""
    return max(1, (settings.num_train or 0) // batch_size)


class FreshBatches:
    """Batches of rows that are drawn for each step.

    Args:
        probe: The `Probe`.
        settings: The `Settings`.
        batch_size: Number of rows in a batch.
        seed: Seed of the run.
    """

    def __init__(
        self, probe: Probe, settings: Settings, batch_size: int, seed: int
    ) -> None:
        self.probe = probe
        self.settings = settings
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Returns the number of batches between two validations."""
        return batches_of_epoch(self.settings, self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Yields `(inputs, targets, weights)` of the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of batches to skip at the beginning.
        """
        for number in range(start, len(self)):
            seeds = (self.settings.data_seed, TRAIN, self.seed, epoch, number)
            yield self.probe.draw(
                np.random.default_rng(seeds),
                self.batch_size,
                self.settings.max_length,
                self.settings,
            )
