"""Samplers: what they draw, and how often."""

import keras
import numpy as np
import pytest

from keras_twa.models import Sample
from keras_twa.models import sampling

SHARES = np.array([0.05, 0.4, 0.15, 0.3, 0.1])
DRAWS = 4_000


def frequencies(sampler, shares=SHARES):
    """Return how often each token is drawn."""
    logits = np.broadcast_to(np.log(shares), (DRAWS, len(shares))).astype("float32")
    tokens = keras.ops.convert_to_numpy(sampler(logits, seed=1))
    assert tokens.shape == (DRAWS,)
    assert tokens.dtype == np.int32
    return np.bincount(tokens, minlength=len(shares)) / DRAWS


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, SHARES),
        ({"temperature": 0.5}, SHARES**2),
        ({"temperature": 1e-9}, [0, 1, 0, 0, 0]),
        ({"top_k": 2}, [0, 0.4, 0, 0.3, 0]),
        ({"top_k": 9}, SHARES),
        # 0.4 and 0.3 make up less than that, and 0.15 is what is needed.
        ({"top_p": 0.72}, [0, 0.4, 0.15, 0.3, 0]),
        ({"top_p": 0.69}, [0, 0.4, 0, 0.3, 0]),
        ({"top_p": 0.01}, [0, 1, 0, 0, 0]),
        ({"top_p": 1.0}, SHARES),
        # Of the two likeliest, the first has 0.57.
        ({"top_k": 2, "top_p": 0.5}, [0, 1, 0, 0, 0]),
        ({"top_k": 2, "top_p": 0.6}, [0, 0.4, 0, 0.3, 0]),
        # After the temperature, the first has 0.54.
        ({"temperature": 0.5, "top_p": 0.5}, [0, 1, 0, 0, 0]),
    ],
)
def test_draws_tokens_as_often_as_it_should(options, weights):
    expected = np.array(weights) / np.sum(weights)
    found = frequencies(Sample(**options))
    assert not found[expected == 0].any()
    # Five standard deviations.
    margin = 5 * np.sqrt(expected * (1 - expected) / DRAWS)
    assert (abs(found - expected) <= margin).all()


def test_of_equal_tokens_top_k_takes_that_many():
    found = frequencies(Sample(top_k=2), np.full(4, 0.25))
    assert not found[2:].any()
    assert abs(found[0] - 0.5) < 0.05


def test_never_draws_what_has_no_probability():
    logits = np.array([[-np.inf, 0.0, -np.inf, 1.0]] * 50, "float32")
    for sampler in (Sample(), Sample(top_k=4), Sample(top_p=1.0), sampling.greedy):
        tokens = keras.ops.convert_to_numpy(sampler(logits, seed=2))
        assert set(tokens.tolist()) <= {1, 3}


def test_seeds_make_draws_the_same():
    logits = np.zeros((50, 9), "float32")

    def draws(seed):
        return keras.ops.convert_to_numpy(Sample()(logits, seed=seed)).tolist()

    generator = keras.random.SeedGenerator(3)
    first, second = draws(generator), draws(generator)
    assert first != second
    assert draws(keras.random.SeedGenerator(3)) == first


def test_samplers_have_names():
    assert sampling.get("greedy") is sampling.greedy
    assert sampling.get("sample") == Sample()
    assert sampling.get(sampling.greedy) is sampling.greedy
    with pytest.raises(ValueError, match="Received: sampler='beam'"):
        sampling.get("beam")


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("inf")},
        {"temperature": "warm"},
        {"top_k": 0},
        {"top_k": 1.5},
        {"top_p": 0.0},
        {"top_p": 1.1},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        Sample(**options)
