"""Trivial baselines on data whose answers are known."""

import numpy as np
import pytest

from keras_twa.datasets import listops
from keras_twa.datasets.baselines import byte_ngram_naive_bayes_baseline
from keras_twa.datasets.baselines import majority_baseline
from keras_twa.datasets.baselines import root_operator_baseline
from keras_twa.datasets.imdb_sample import sample_reviews
from keras_twa.datasets.token_sequences import TokenSequences


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
