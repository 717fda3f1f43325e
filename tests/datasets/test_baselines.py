"""Trivial baselines on data whose answers are known."""

import numpy as np
import pytest

from keras_twa.datasets import listops
from keras_twa.datasets.baselines import byte_ngram_naive_bayes_baseline
from keras_twa.datasets.baselines import majority_baseline
from keras_twa.datasets.baselines import nearest_mean_baseline
from keras_twa.datasets.baselines import ngram_bits
from keras_twa.datasets.baselines import root_operator_baseline
from keras_twa.datasets.imdb_sample import sample_reviews
from keras_twa.datasets.token_sequences import TokenSequences

pytestmark = pytest.mark.once


def naive_bayes_loops(train, test, n):
    """The definition, with dictionaries and no hash."""

    def grams(row):
        return {tuple(row[i : i + n]) for i in range(len(row) - n + 1)}

    counts = ({}, {})
    for row, label in zip(*train, strict=True):
        for gram in grams(row):
            counts[label][gram] = counts[label].get(gram, 0) + 1
    # The hashed table has a count of 1 in each of its places.
    totals = [sum(count.values()) + 2**22 for count in counts]
    right = 0
    prior = np.log(np.mean(train[1]) / (1 - np.mean(train[1])))
    for row, label in zip(*test, strict=True):
        odds = prior + sum(
            np.log((counts[1].get(gram, 0) + 1) / totals[1])
            - np.log((counts[0].get(gram, 0) + 1) / totals[0])
            for gram in grams(row)
        )
        right += (odds > 0) == label
    return right / len(test[1])


def sample(num_reviews, seed):
    texts, labels = sample_reviews(num_reviews, seed)
    tokens = np.frombuffer(b"".join(texts), "uint8").astype("uint16") + 1
    return TokenSequences(tokens, [len(t) for t in texts]), np.array(labels)


@pytest.mark.parametrize("n", [1, 3, 7])
def test_naive_bayes_equals_loops(n):
    train, test = sample(301, 0), sample(100, 1)
    got = byte_ngram_naive_bayes_baseline(train, test, n)
    # A few n-grams may share a place in the hashed table.
    assert got == pytest.approx(naive_bayes_loops(train, test, n), abs=0.011)


def test_naive_bayes_takes_padded_rows_and_short_ones():
    train = (np.array([[1, 2, 3], [4, 5, 6], [1, 2, 0]]), [0, 1, 0])
    test = (np.array([[0, 1, 2], [4, 5, 0]]), [0, 1])
    assert byte_ngram_naive_bayes_baseline(train, test, 2) == 1.0
    # No sequence is long enough: the more frequent class is left.
    assert byte_ngram_naive_bayes_baseline(train, test, 4) == 0.5
    with pytest.raises(ValueError, match="Received: n=0"):
        byte_ngram_naive_bayes_baseline(train, test, 0)


def test_root_operator_and_majority():
    train = (np.array([[11, 1], [11, 2], [11, 3], [12, 4]]), [0, 0, 1, 9])
    test = (np.array([[11, 1], [12, 1], [13, 1], [12, 1]]), [0, 9, 0, 1])
    assert root_operator_baseline(train, test) == 0.75
    assert majority_baseline(train[1], test[1]) == 0.5


def test_baselines_of_listops(tmp_path):
    train, _, test = listops.load_sequences(20_000, 1, 4000, cache_dir=tmp_path)
    assert majority_baseline(train[1], test[1]) == pytest.approx(0.173, abs=0.02)
    assert root_operator_baseline(train, test) == pytest.approx(0.3675, abs=0.025)


def test_baselines_of_quick_listops(tmp_path):
    train, _, test = listops.load_sequences(
        20_000,
        1,
        4000,
        min_length=1,
        max_length=65,
        max_depth=4,
        max_args=5,
        cache_dir=tmp_path,
    )
    assert majority_baseline(train[1], test[1]) == pytest.approx(0.115, abs=0.02)
    assert root_operator_baseline(train, test) == pytest.approx(0.23, abs=0.025)


def test_nearest_mean_is_right_where_classes_are_apart():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    images = 5 * labels[:, None, None] + rng.normal(size=(300, 4, 2))
    train, test = (images[:200], labels[:200]), (images[200:], labels[200:])
    assert nearest_mean_baseline(train, test) == 1.0
    assert nearest_mean_baseline(train, (test[0], (test[1] + 1) % 3)) == 0.0


@pytest.mark.parametrize("order", [1, 2, 3])
def test_ngram_bits_equal_a_loop(order):
    rng = np.random.default_rng(1)
    train, test = rng.integers(0, 3, 60).tolist(), rng.integers(0, 3, 20).tolist()

    def count(run):
        places = range(len(train) - len(run) + 1)
        return sum(train[i : i + len(run)] == run for i in places)

    bits = []
    for place in range(order - 1, len(test)):
        probability = 1 / 3
        for length in range(order):
            context = test[place - length : place]
            # A context that nothing follows does not count.
            follows = sum(count([*context, symbol]) for symbol in range(3))
            together = count([*context, test[place]])
            probability = (together + 2 * probability) / (follows + 2)
        bits.append(-np.log2(probability))
    assert ngram_bits(train, test, order, 3) == pytest.approx(np.mean(bits))


def test_ngram_bits_of_independent_symbols_are_their_entropy():
    rng = np.random.default_rng(2)
    train, test = (rng.choice(4, 20_000, p=[0.5, 0.25, 0.125, 0.125]) for _ in range(2))
    for order in (1, 3):
        assert ngram_bits(train, test, order, 4) == pytest.approx(1.75, abs=0.03)


@pytest.mark.parametrize("order", [0, 8])
def test_ngram_bits_refuse_orders(order):
    with pytest.raises(ValueError, match="Received:"):
        ngram_bits([1, 2], [1, 2], order, 257)
