"""Beam search beside looking at all sequences that there are."""

import itertools

import numpy as np
import pytest
from keras import ops

from keras_twa.models import beam_search

START, END, VOCABULARY, LENGTH = 1, 2, 4, 3
BATCH = 3


def logits_after(table, tokens):
    """Return the logits after all tokens of a sequence, by a table of chances."""
    return table[sum(token * 7**i for i, token in enumerate(tokens)) % len(table)]


def log_softmax(logits):
    """Return the logarithms of the probabilities, without padding's."""
    logits = logits.astype("float64")
    return logits - np.log(np.exp(logits).sum())


def all_sequences():
    """Return all that end, and all that reach the longest length."""
    inner = [t for t in range(1, VOCABULARY) if t != END]
    for length in range(LENGTH):
        for start in itertools.product(inner, repeat=length):
            yield (*start, END)
    yield from itertools.product(inner, repeat=LENGTH)


def best_of_all(table, penalty):
    """Return the sequence of the highest score."""

    def score(tokens):
        found = 0.0
        for i, token in enumerate(tokens):
            logits = logits_after(table, (START, *tokens[:i]))
            found += log_softmax(logits)[token]
        return found / ((5 + len(tokens)) / 6) ** penalty

    return max(all_sequences(), key=score)


def greedy(table):
    """Return the sequence of the most probable tokens."""
    tokens = [START]
    while len(tokens) <= LENGTH and tokens[-1] != END:
        logits = logits_after(table, tokens).copy()
        logits[0] = -np.inf
        tokens.append(int(logits.argmax()))
    return tuple(tokens[1:])


def search(tables, beam_size, penalty=0.0):
    """Return what beam search finds; its state are the tokens so far."""
    steps = []

    def step(tokens, state, number):
        state = ops.concatenate([state["so far"], tokens[:, None]], axis=1)
        steps.append(number)
        logits = [
            logits_after(tables[row // beam_size], so_far)
            for row, so_far in enumerate(ops.convert_to_numpy(state))
        ]
        return ops.convert_to_tensor(np.stack(logits)), {"so far": state}

    state = {"so far": ops.zeros((len(tables) * beam_size, 0), "int32")}
    found = beam_search.beam_search(
        step, state, len(tables), LENGTH, START, END, beam_size, penalty
    )
    return [tuple(int(t) for t in row if t) for row in found], found, steps


def tables(seed):
    """Return a table of random logits for each of a batch."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(BATCH, 61, VOCABULARY), scale=1.5).astype("float32")


@pytest.mark.parametrize("penalty", [0.0, 0.6, 3.0])
def test_wide_enough_it_finds_the_best_of_all(penalty):
    for seed in range(5):
        some = tables(seed)
        found, _, _ = search(some, beam_size=20, penalty=penalty)
        assert found == [best_of_all(table, penalty) for table in some]


def test_with_one_place_it_is_greedy():
    differ = 0
    for seed in range(5):
        some = tables(seed)
        found, _, _ = search(some, beam_size=1, penalty=0.6)
        assert found == [greedy(table) for table in some]
        differ += found != [best_of_all(table, 0.6) for table in some]
    assert differ, "greedy search always finds the best: the test can see nothing"


@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_a_sequence_that_ended_is_not_lost(beam_size):
    shares = np.full((3, 8), 0.01)
    shares[0, [END, 3]] = 0.2, 0.8
    shares[1, [5, 6]] = 0.51, 0.48
    shares = np.log(shares).astype("float32")

    def step(tokens, state, number):
        return ops.convert_to_tensor(shares[[min(number, 2)] * len(tokens)]), state

    # After the second step, nothing that has ended is among the best two.
    found = beam_search.beam_search(step, {}, 1, 6, START, END, beam_size)
    assert found[0].tolist() == ([END] if beam_size > 1 else [3, 5, 1, 1, 1, 1])


def test_stops_when_nothing_can_become_better():
    some = tables(0)
    some[..., END] = 20.0
    for beam_size in (1, 3):
        found, tokens, steps = search(some, beam_size)
        assert found == [(END,)] * BATCH
        assert tokens.shape == (BATCH, 1)
        assert steps == [0]


def test_pads_what_ends_early():
    some = tables(1)
    some[0][..., END], some[1:, ..., END] = 20.0, -20.0
    _, tokens, _ = search(some, beam_size=2)
    assert tokens.shape == (BATCH, LENGTH)
    assert tokens[0].tolist() == [END, 0, 0]
    assert tokens[1:].all()
