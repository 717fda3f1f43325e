"""Rows of tokens with one label each, ready for training."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_twa.datasets.batches import BucketedBatches
from keras_twa.datasets.batches import length_buckets
from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import fingerprint

EXAMPLE_LENGTHS = (24, 64)
LONGEST_EXAMPLE = 256


@dataclass(frozen=True)
class TokenRows:
    """The splits of a task that classifies sequences of tokens.

    Args:
        splits: `(TokenSequences, labels)` of training, validation and test.
        vocabulary_size: Number of token ids, padding included.
        num_classes: Number of labels.
        source: The source of the rows, for the heading of a report.
        data: The value of `--data` that gives the same rows again.
        max_buckets: Largest number of padded lengths.
        symbols: Function from token ids to one string for each.
        note: What readers of a report should know about the rows.
    """

    splits: dict[str, tuple[TokenSequences, np.ndarray]]
    vocabulary_size: int
    num_classes: int
    source: str
    data: str
    max_buckets: int
    symbols: Callable[[np.ndarray], list[str]]
    note: str = ""

    def train_batches(self, batch_size: int, seed: int) -> BucketedBatches:
        """Returns shuffled batches of the training rows."""
        return BucketedBatches(
            *self.splits["train"], batch_size, self._bucket_lengths, seed=seed
        )

    def evaluation_batches(self, split: str, batch_size: int) -> BucketedBatches:
        """Returns batches of the same shapes as in training."""
        return BucketedBatches(
            *self.splits[split], batch_size, self._bucket_lengths, shuffle=False
        )

    @functools.cached_property
    def _bucket_lengths(self) -> tuple[int, ...]:
        lengths = np.concatenate([x.lengths for x, _ in self.splits.values()])
        return length_buckets(lengths, self.max_buckets)

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each split."""
        return {name: len(labels) for name, (_, labels) in self.splits.items()}

    @functools.cached_property
    def fingerprint(self) -> Fingerprint:
        """A text for each split that identifies its rows."""
        return fingerprint(self.splits)

    @property
    def example(self) -> np.ndarray:
        """A validation row of moderate length for plots, always the same."""
        rows, _ = self.splits["validation"]
        shortest, longest = EXAMPLE_LENGTHS
        fits = np.flatnonzero((rows.lengths >= shortest) & (rows.lengths <= longest))
        return np.asarray(rows[fits[0] if len(fits) else 0][:LONGEST_EXAMPLE])
