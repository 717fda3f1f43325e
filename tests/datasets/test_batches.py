"""Batches by length: every row once, few shapes, little padding, resumable."""

import itertools

import numpy as np
import pytest

from keras_twa.datasets.batches import BucketedBatches
from keras_twa.datasets.batches import length_buckets
from keras_twa.datasets.token_sequences import TokenSequences

pytestmark = pytest.mark.once


@pytest.fixture
def rows():
    """Rows whose every token tells which row it is, and their numbers."""
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(3.5, 0.8, 501).astype(int) + 1
    numbers = np.arange(len(lengths))
    return TokenSequences(np.repeat(numbers + 1, lengths), lengths), numbers


def cost(lengths, buckets, batch_size):
    bucket = np.searchsorted(buckets, lengths)
    counts = np.bincount(bucket, minlength=len(buckets))
    return (-(-counts // batch_size) * batch_size * np.array(buckets)).sum()


def plan(batches, epoch, start=0):
    return [labels.tolist() for _, labels, _ in batches.epoch(epoch, start)]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_buckets_are_the_cheapest(batch_size):
    lengths = np.random.default_rng(1).integers(1, 80, 60)
    found = length_buckets(lengths, 3, batch_size)
    longest = lengths.max()
    candidates = [*range(8, longest, 8), longest]
    choices = [
        (*choice, longest)
        for size in range(3)
        for choice in itertools.combinations(candidates[:-1], size)
    ]
    best = min(cost(lengths, choice, batch_size) for choice in choices)
    assert cost(lengths, found, batch_size) == best
    assert found[-1] == longest


def test_buckets_of_many_lengths():
    lengths = np.random.default_rng(2).integers(500, 10_000, 30_000)
    buckets = length_buckets(lengths, 5)
    assert len(buckets) == 5
    assert lengths.sum() / cost(lengths, buckets, 1) > 0.8
    assert length_buckets([7] * 9) == (7,)


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_row_counts_once(rows, shuffle):
    x, y = rows
    batches = BucketedBatches(x, y, 32, shuffle=shuffle)
    counted = np.zeros(len(y))
    shapes = set()
    produced = list(batches.epoch(3))
    for tokens, labels, weights in produced:
        assert tokens.dtype == labels.dtype == np.int32
        assert weights.dtype == np.float32
        shapes.add(tokens.shape)
        np.add.at(counted, labels, weights)
        for row, label in zip(tokens, labels, strict=True):
            assert np.array_equal(row[row != 0], x[label])
    assert (counted == 1).all()
    assert len(produced) == len(batches)
    assert shapes == set(batches.shapes)
    assert len(shapes) <= 5


def test_padding_is_worth_it(rows):
    x, y = rows
    batches = BucketedBatches(x, y, 8)
    padded = sum(tokens.size for tokens, _, _ in batches.epoch())
    assert padded < 0.45 * len(x) * x.lengths.max()


def test_order_depends_on_seed_and_epoch_only(rows):
    batches = BucketedBatches(*rows, 32, seed=5)
    again = BucketedBatches(rows[0].padded(), rows[1], 32, seed=5)
    assert plan(batches, 2) == plan(again, 2)
    assert plan(batches, 2) != plan(batches, 3)
    assert plan(batches, 2) != plan(BucketedBatches(*rows, 32, seed=6), 2)
    fixed = BucketedBatches(*rows, 32, shuffle=False)
    assert plan(fixed, 0) == plan(fixed, 1)


def test_resumes_in_the_middle(rows):
    batches = BucketedBatches(*rows, 32)
    assert plan(batches, 1, start=4) == plan(batches, 1)[4:]
    assert plan(batches, 1, start=len(batches)) == []


def test_shared_buckets(rows):
    x, y = rows
    buckets = length_buckets(x.lengths, 3, 16)
    part = BucketedBatches(x[:40], y[:40], 16, bucket_lengths=buckets)
    assert {length for _, length in part.shapes} <= set(buckets)


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"labels": [1, 2]},
        {"bucket_lengths": (2,)},
        {"bucket_lengths": (9, 3)},
        {"bucket_lengths": ()},
        {"sequences": np.zeros(3)},
    ],
)
def test_bad_arguments(arguments):
    good = {"sequences": np.ones((3, 5)), "labels": [0, 1, 0], "batch_size": 2}
    with pytest.raises(ValueError, match="Received: "):
        BucketedBatches(**good | arguments)


def test_token_sequences():
    padded = np.array([[3, 1, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]])
    x = TokenSequences.from_padded(padded)
    assert x.lengths.tolist() == [2, 0, 4]
    assert np.array_equal(x.padded(), padded)
    assert np.array_equal(x.padded(3), padded[:, :3])
    assert np.array_equal(x.take([2, 0]).padded(), padded[[2, 0]])
    assert np.array_equal(x[1:].padded(), padded[1:])
    assert [row.tolist() for row in x] == [[3, 1], [], [1, 2, 3, 4]]
    with pytest.raises(ValueError, match="Received: "):
        TokenSequences([1, 2], [1])
