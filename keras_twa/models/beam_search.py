"""Beam search: generates the best sequence of a step-by-step model."""

import math
import numbers

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.models import generation
from keras_twa.ops import backend

# The token that pads a sequence. The search never chooses it.
PADDING = 0


def beam_search(
    step,
    state,
    batch_size,
    max_length,
    start_token,
    end_token,
    beam_size=1,
    length_penalty=0.0,
):
    """Searches for the sequence with the highest score.

    The score of a sequence is `log p / ((5 + length) / 6)^length_penalty`, where `p` is
    its probability and `length` its number of tokens, the end token included.

    Each step appends every token to every sequence that has not ended, and keeps the
    `beam_size` sequences with the highest scores. Ended sequences compete with the
    others. The best ended sequence is kept even if others push it out of the beam. The
    search stops when no sequence can reach a higher score than this one. With
    `beam_size=1`, this is greedy search.

    Args:
        step: Function of tokens `(N,)`, a state, and the number of the step. It
            returns logits `(N, vocabulary)` and the next state.
        state: Nested dictionaries and lists of tensors. The first axis of a tensor has
            N = B * beam_size rows, with the rows of one source next to each other. A
            tensor without axes is the same for all rows.
        batch_size: Number of sources B.
        max_length: The largest number of tokens in a sequence.
        start_token: The token that the first step reads. It is not part of a sequence.
        end_token: The token that ends a sequence.
        beam_size: Number of sequences that each step keeps for each source.
        length_penalty: The exponent in the score. Larger values favour long sequences.

    Returns:
        The sequence with the highest score for each source, with its end token if it
        has one: a NumPy array `(B, length)`, padded with 0.

    Raises:
        ValueError: If needed logits are NaN, +infinity, or -infinity for all tokens
            except padding.

    Reference:
        [Wu et al., 2016](https://arxiv.org/abs/1609.08144)
    """
    shape = (batch_size, beam_size)
    tokens = np.full((*shape, max_length), PADDING, "int32")
    last = np.full(shape, start_token, "int32")
    # All beams start with the same empty sequence: only the first counts.
    scores = np.where(np.arange(beam_size) == 0, np.zeros(shape), -np.inf)
    lengths, ended = np.zeros(shape, int), np.zeros(shape, bool)
    # The best complete sequence of each source, which may have left the beam.
    best_score = np.full(batch_size, -np.inf)
    best = np.zeros((batch_size, max_length), "int32")
    sources, done = np.arange(batch_size), np.zeros(batch_size, bool)

    def penalised(scores, lengths):
        return scores / ((5 + lengths) / 6) ** length_penalty

    for number in range(max_length):
        logits, state = step(last.reshape(-1), state, number)
        # Logits are not needed for ended or empty beams, nor for sources whose best
        # sequence cannot be improved.
        needed = ~ended & np.isfinite(scores) & ~done[:, None]
        wrong = ops.convert_to_numpy(generation.broken(logits))
        generation.refuse_broken(
            np.flatnonzero((wrong.reshape(shape) & needed).any(axis=1)), number
        )
        further = _log_probabilities(logits, wrong).reshape(*shape, -1)
        vocabulary = further.shape[-1]
        further[..., PADDING] = -np.inf
        # A sequence that has ended can only be padded, at no cost.
        further[ended] = np.where(np.arange(vocabulary) == PADDING, 0.0, -np.inf)
        totals = scores[..., None] + further
        lengths = lengths + ~ended
        ranks = penalised(totals, lengths[..., None]).reshape(batch_size, -1)
        chosen = np.argpartition(-ranks, beam_size - 1, axis=1)[:, :beam_size]
        parents, last = chosen // vocabulary, (chosen % vocabulary).astype("int32")
        scores = np.take_along_axis(totals.reshape(batch_size, -1), chosen, axis=1)
        lengths, ended = (
            np.take_along_axis(x, parents, axis=1) for x in (lengths, ended)
        )
        ended |= last == end_token
        tokens = np.take_along_axis(tokens, parents[..., None], axis=1)
        tokens[..., number] = last
        complete = ended | (number == max_length - 1)
        final = np.where(complete, penalised(scores, lengths), -np.inf)
        # More tokens never raise `p`, and a greater length only helps. No unfinished
        # sequence can score higher than this.
        bound = np.where(complete, -np.inf, penalised(scores, max_length)).max(axis=1)
        place = final.argmax(axis=1)
        better = final[sources, place] > best_score
        best_score = np.where(better, final[sources, place], best_score)
        best = np.where(better[:, None], tokens[sources, place], best)
        done = best_score >= bound
        if done.all():
            break
        state = _rows(state, parents)
    return best[:, : (best != PADDING).sum(axis=1).max()]


def check_search(vocabulary_size, max_length, beam_size, length_penalty, **tokens):
    """Raises `ValueError` for invalid arguments of `beam_search`.

    Args:
        vocabulary_size: Number of token ids, padding included.
        max_length: The largest number of tokens in a sequence.
        beam_size: Number of sequences that each step keeps.
        length_penalty: The exponent in the score.
        **tokens: The start token and the end token, by name.
    """
    checks.positive_integer(max_length=max_length, beam_size=beam_size)
    number = isinstance(length_penalty, int | float)
    if not number or not 0 <= length_penalty < math.inf:
        raise ValueError(
            "`length_penalty` must be a finite number, zero or above. "
            f"Received: length_penalty={length_penalty!r}"
        )
    for name, token in tokens.items():
        whole = isinstance(token, numbers.Integral) and not isinstance(token, bool)
        if not whole or not PADDING < token < vocabulary_size:
            raise ValueError(
                f"`{name}` must be a token from 1 to {vocabulary_size - 1}: 0 is "
                f"padding. Received: {name}={token!r}"
            )


def _log_probabilities(logits, wrong):
    """Log probabilities; arbitrary finite ones for broken rows."""
    logits = ops.convert_to_numpy(logits).astype("float64")
    logits[wrong] = 0.0
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def _rows(state, parents):
    """The state with the rows of the parents."""
    batch_size, beam_size = parents.shape
    rows = (np.arange(batch_size)[:, None] * beam_size + parents).reshape(-1)
    if (rows == np.arange(len(rows))).all():
        return state
    return _take(state, rows)


@backend.compiled
def _take(state, rows):
    return keras.tree.map_structure(
        lambda x: ops.take(x, rows, axis=0) if len(x.shape) > 0 else x, state
    )
