"""Batches of sequences of about the same length, in a few shapes."""

import numpy as np

from keras_twa.datasets import checks
from keras_twa.datasets.token_sequences import TokenSequences

# Kernels and memory layouts are faster with multiples of this.
LENGTH_STEP = 8
MAX_CANDIDATES = 256


def length_buckets(lengths, max_buckets=5, batch_size=1):
    """Chooses the padded lengths that cost the fewest tokens.

    Every sequence is padded to the smallest chosen length that fits it, and every
    bucket is filled to whole batches. Dynamic programming finds the lengths with
    the smallest total number of padded tokens. It considers lengths rounded up to
    multiples of 8, or 256 quantiles of them if there are more.

    Args:
        lengths: Integer array, the number of tokens of each sequence.
        max_buckets: Largest number of padded lengths. Defaults to `5`.
        batch_size: Number of sequences in a batch. Defaults to `1`.

    Returns:
        Tuple of increasing integers, the last one being the longest length.

    Example:

    >>> length_buckets([8, 8, 16, 64], max_buckets=2)
    (16, 64)
    """
    lengths = np.asarray(lengths)
    if lengths.size == 0 or lengths.min() < 0:
        raise ValueError(
            "`lengths` must contain at least one number, and no negative ones. "
            f"Received: lengths of shape {lengths.shape}"
        )
    checks.integers_from(1, max_buckets=max_buckets, batch_size=batch_size)
    longest = max(int(lengths.max()), 1)
    rounded = -(-np.maximum(lengths, 1) // LENGTH_STEP) * LENGTH_STEP
    rounded = np.sort(np.minimum(rounded, longest))
    candidates = np.unique(rounded)
    if len(candidates) > MAX_CANDIDATES:
        places = np.linspace(0, len(rounded) - 1, MAX_CANDIDATES).astype("int64")
        candidates = np.unique(rounded[places])
    below = np.concatenate([[0], np.searchsorted(rounded, candidates, side="right")])
    # cost[i, j]: tokens of one bucket for the sequences that are longer than
    # candidate i - 1 and at most as long as candidate j.
    batches = -(-(below[None, 1:] - below[:-1, None]) // batch_size)
    cost = np.where(batches > 0, batches * batch_size * candidates, np.inf)
    best = [cost[0]]
    previous = []
    for _ in range(min(max_buckets, len(candidates)) - 1):
        total = best[-1][:-1, None] + cost[1:]
        previous.append(total.argmin(axis=0))
        best.append(total.min(axis=0))
    bucket = int(np.argmin([row[-1] for row in best]))
    last = len(candidates) - 1
    chosen = [last]
    for choice in reversed(previous[:bucket]):
        last = int(choice[last])
        chosen.append(last)
    return tuple(int(candidates[index]) for index in reversed(chosen))


class BucketedBatches:
    """Batches of sequences of about the same length, for training or evaluation.

    Every batch has shape `(batch_size, length)`, where the length is one of
    `bucket_lengths`. A compiled model therefore sees at most that many shapes. In
    each epoch, every sequence counts exactly once: repeated sequences of weight 0
    fill the last batch of a bucket.

    The batches depend only on `seed` and the number of the epoch. A run can
    therefore continue in the middle of an epoch, in another process.

    Args:
        sequences: `TokenSequences`, or an array of shape `(rows, length)` padded
            with 0.
        labels: Integer array of shape `(rows,)`.
        batch_size: Number of sequences in a batch.
        bucket_lengths: Increasing padded lengths. Defaults to
            `length_buckets(lengths, batch_size=batch_size)`. Give the same ones
            to training and evaluation to compile less:
            `length_buckets(np.concatenate([x.lengths for x, _ in splits]))`.
        shuffle: Whether to shuffle the sequences of a bucket and the batches, in
            a new way in each epoch. Defaults to `True`; use `False` for
            evaluation.
        seed: Non-negative integer. Defaults to `0`.

    Example:

    ```python
    batches = BucketedBatches(x_train, y_train, batch_size=32, seed=0)
    for epoch in range(20):
        for tokens, labels, weights in batches.epoch(epoch):
            ...  # int32 (32, length), int32 (32,), float32 (32,)
    for tokens, labels, weights in batches.epoch(3, start=100):
        ...  # continues with batch number 100 of epoch 3
    ```
    """

    def __init__(
        self, sequences, labels, batch_size, bucket_lengths=None, shuffle=True, seed=0
    ):
        if not isinstance(sequences, TokenSequences):
            sequences = TokenSequences.from_padded(sequences)
        labels = np.asarray(labels, "int32")
        checks.integers_from(1, batch_size=batch_size)
        if labels.shape != (len(sequences),) or not len(sequences):
            raise ValueError(
                "There must be one label for each sequence, and at least one sequence. "
                f"Received: {len(sequences)} sequences, labels.shape={labels.shape}"
            )
        if bucket_lengths is None:
            bucket_lengths = length_buckets(sequences.lengths, batch_size=batch_size)
        if list(bucket_lengths) != sorted(set(bucket_lengths)) or (
            sequences.lengths.max() > max(bucket_lengths, default=0)
        ):
            raise ValueError(
                "`bucket_lengths` must increase, and the last must hold the longest "
                f"sequence of {sequences.lengths.max()} tokens. "
                f"Received: bucket_lengths={tuple(bucket_lengths)}"
            )
        self.sequences = sequences
        self.labels = labels
        self.batch_size = batch_size
        self.bucket_lengths = tuple(int(length) for length in bucket_lengths)
        self.shuffle = shuffle
        self.seed = seed
        bucket = np.searchsorted(self.bucket_lengths, sequences.lengths)
        self._buckets = [
            (length, np.flatnonzero(bucket == number))
            for number, length in enumerate(self.bucket_lengths)
            if (bucket == number).any()
        ]

    def __len__(self):
        """Returns the number of batches of an epoch, the same for all epochs."""
        return sum(-(-len(rows) // self.batch_size) for _, rows in self._buckets)

    @property
    def shapes(self):
        """The different shapes of the batches, as tuples, the shortest first."""
        return tuple((self.batch_size, length) for length, _ in self._buckets)

    def epoch(self, epoch=0, start=0):
        """Yields `(tokens, labels, weights)` of the batches of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of batches to skip at the beginning.
        """
        for length, rows in self._plan(epoch)[start:]:
            weights = np.zeros(self.batch_size, "float32")
            weights[: len(rows)] = 1
            # Real sequences, not empty ones, so that no length is 0.
            rows = np.resize(rows, self.batch_size)
            tokens = self.sequences.take(rows).padded(length)
            yield tokens, self.labels[rows], weights

    def _plan(self, epoch):
        """Returns the padded length and the rows of each batch of an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        plan = []
        for length, rows in self._buckets:
            if self.shuffle:
                rows = rng.permutation(rows)
            for first in range(0, len(rows), self.batch_size):
                plan.append((length, rows[first : first + self.batch_size]))
        if self.shuffle:
            plan = [plan[index] for index in rng.permutation(len(plan))]
        return plan
