"""Baselines without attention, for reports and examples."""

import numpy as np

from keras_twa.datasets import checks
from keras_twa.datasets.token_sequences import TokenSequences

HASH_BITS = 22
# The number of a sequence and a hash share 32 bits, which sort fast.
SEQUENCES_PER_BLOCK = 2 ** (32 - HASH_BITS)
# Odd, and large enough to mix the low bits into the high ones.
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# The estimate from one symbol less counts like this many observations.
BACKOFF = 2


def majority_baseline(train_labels, test_labels):
    """Returns the accuracy of always giving the most frequent training label.

    Example:

    >>> majority_baseline([0, 1, 1], [1, 0])
    0.5
    """
    majority = np.bincount(train_labels).argmax()
    return float(np.mean(np.asarray(test_labels) == majority))


def root_operator_baseline(train, test):
    """Returns the accuracy of a guess from the first token alone.

    For each first token, in ListOps the root operator, the guess is the label
    that is most frequent with it in the training split.

    Args:
        train: Tuple `(x, y)` of `TokenSequences` or padded tokens, and labels.
        test: The same.
    """
    train_first, train_labels = _first_tokens(train[0]), np.asarray(train[1])
    test_first, test_labels = _first_tokens(test[0]), np.asarray(test[1])
    counts = np.zeros(
        (
            max(train_first.max(), test_first.max()) + 1,
            max(train_labels.max(), test_labels.max()) + 1,
        ),
        "int64",
    )
    np.add.at(counts, (train_first, train_labels), 1)
    guess = counts.argmax(axis=1)
    # A first token that training never saw gets the label most frequent overall.
    guess[counts.sum(axis=1) == 0] = counts.sum(axis=0).argmax()
    return float(np.mean(guess[test_first] == test_labels))


def byte_ngram_naive_bayes_baseline(train, test, n=7):
    """Returns the accuracy of naive Bayes on which n-grams occur in a sequence.

    For each of two classes, the probability of an n-gram is estimated from the
    number of training sequences that contain it, plus 1. Each n-gram of a sequence
    counts once, as if n-grams were independent. A hash of 22 bits identifies an
    n-gram.

    Args:
        train: Tuple `(x, y)` of `TokenSequences` or padded tokens, and labels 0
            or 1.
        test: The same.
        n: Number of tokens of an n-gram. Defaults to `7`.
    """
    checks.integers_from(1, n=n)
    train_labels, test_labels = np.asarray(train[1]), np.asarray(test[1])
    counts = np.ones((2, 2**HASH_BITS))
    for rows, grams in _distinct_ngrams(train[0], n):
        places = train_labels[rows] * 2**HASH_BITS + grams
        counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
    log_odds = np.log(counts[1] / counts[1].sum()) - np.log(counts[0] / counts[0].sum())
    classes = np.bincount(train_labels, minlength=2)
    scores = np.full(len(test_labels), np.log(classes[1] / classes[0]))
    for rows, grams in _distinct_ngrams(test[0], n):
        scores += np.bincount(rows, log_odds[grams], len(scores))
    return float(np.mean((scores > 0) == test_labels))


def nearest_mean_baseline(train, test):
    """Returns the accuracy of choosing the class with the nearest mean, by pixel.

    Args:
        train: Tuple `(x, y)` of numbers `(rows, ...)` and labels of all classes.
        test: The same.

    Example:

    >>> nearest_mean_baseline(([[0.0], [2.0], [4.0]], [0, 1, 1]), ([[1.0]], [0]))
    1.0
    """
    (x, labels), (tests, wanted) = (
        (np.asarray(x, "float32").reshape(len(x), -1), np.asarray(y))
        for x, y in (train, test)
    )
    means = np.stack([x[labels == label].mean(0) for label in range(labels.max() + 1)])
    # The square of a row is the same for all means.
    distances = (means**2).sum(-1) - 2 * tests @ means.T
    return float(np.mean(distances.argmin(-1) == wanted))


def ngram_bits(train, test, order, num_symbols):
    """Returns the bits per symbol of an n-gram model with backoff.

    The probability of a symbol after the `order - 1` symbols before it is its frequency
    after them in `train`. It is mixed with the probability after one symbol less, which
    counts like `BACKOFF` observations. This goes down to equal probabilities.

    Args:
        train: Integers from 0 on, in one dimension.
        test: The same. What precedes its first symbols is not scored.
        order: Length of the n-grams, including the symbol to predict.
        num_symbols: Number of different symbols.

    Example:

    >>> ngram_bits([0, 1] * 500, [0, 1] * 10, 2, 2) < 0.01
    True
    """
    if order < 1 or num_symbols**order >= 2**63:
        raise ValueError(
            "`order` must be positive, and its n-grams must have numbers of 63 bits. "
            f"Received: {order=}, {num_symbols=}"
        )
    train, test = np.asarray(train, "int64"), np.asarray(test, "int64")
    probability = 1 / num_symbols
    for length in range(1, order + 1):
        known, asked = (
            [
                _numbers(x, length, num_symbols),
                _numbers(x[:-1], length - 1, num_symbols),
            ]
            for x in (train, test)
        )
        asked = [numbers[order - length :] for numbers in asked]
        together, before = map(_counts, known, asked)
        probability = (together + BACKOFF * probability) / (before + BACKOFF)
    return float(-np.log2(probability).mean())


def _numbers(symbols, length, num_symbols):
    """A number for each run of `length` symbols, equal for equal runs."""
    count = len(symbols) - length + 1
    total = np.zeros(count, "int64")
    for place in range(length):
        total = total * num_symbols + symbols[place : place + count]
    return total


def _counts(values, wanted):
    """How often each of the wanted is among the values."""
    distinct, counts = np.unique(values, return_counts=True)
    places = np.minimum(np.searchsorted(distinct, wanted), len(distinct) - 1)
    return np.where(distinct[places] == wanted, counts[places], 0)


def _as_sequences(tokens):
    if isinstance(tokens, TokenSequences):
        return tokens
    return TokenSequences.from_padded(tokens)


def _first_tokens(tokens):
    sequences = _as_sequences(tokens)
    return np.array([row[0] if len(row) else 0 for row in sequences], "int64")


def _distinct_ngrams(tokens, n):
    """Yields `(rows, hashes)`, one pair for each different n-gram of a sequence."""
    sequences = _as_sequences(tokens)
    for first in range(0, len(sequences), SEQUENCES_PER_BLOCK):
        block = sequences[first : first + SEQUENCES_PER_BLOCK]
        row = np.repeat(np.arange(len(block), dtype="uint32"), block.lengths)
        if len(row) < n:
            continue
        windows = len(row) - n + 1
        hashed = np.zeros(windows, "uint64")
        for place in range(n):
            hashed *= HASH_FACTOR
            hashed += block.tokens[place : place + windows].astype("uint64")
        hashed *= HASH_FACTOR
        pairs = (hashed >> np.uint64(64 - HASH_BITS)).astype("uint32")
        pairs |= row[:windows] << np.uint32(HASH_BITS)
        # A window must not extend into the next sequence.
        pairs = np.sort(pairs[row[:windows] == row[n - 1 :]])
        # `np.unique()` takes ten times as long as this.
        pairs = pairs[np.diff(pairs, prepend=pairs[:1] + np.uint32(1)) != 0]
        rows = (pairs >> np.uint32(HASH_BITS)).astype("int64") + first
        yield rows, (pairs & np.uint32(2**HASH_BITS - 1)).astype("int64")
