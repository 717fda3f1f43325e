"""The best continuations that a model of steps finds, several at a time."""

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks

# What pads a sequence, and no model writes.
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
    """Searches for the sequence of the highest score.

    The score is `log p / ((5 + length) / 6)^length_penalty`. Each step keeps the
    `beam_size` best of what the sequences so far become with one token more; one that
    has ended stays as it is and keeps its place. With one place, that is greedy search.

    Args:
        step: Function of tokens `(N,)`, a state, and the number of the step, that
            returns logits `(N, vocabulary)` and the next state.
        state: Nested dictionaries and lists of tensors with N rows, or with none where
            they are the same for all rows. There are `beam_size` rows next to one
            another for each of `batch_size` sequences.
        batch_size: B.
        max_length: How many tokens there are at most.
        start_token: What the first step is given.
        end_token: What a sequence ends with.
        beam_size: How many sequences are kept.
        length_penalty: How much is made up to long ones.

    Returns:
        The tokens, a NumPy array `(B, length)` with the end token in it, padded with 0.

    Reference:
        [Wu et al., 2016](https://arxiv.org/abs/1609.08144)
    """
    shape = (batch_size, beam_size)
    tokens = np.full((*shape, max_length), PADDING, "int32")
    last = np.full(shape, start_token, "int32")
    # In the beginning, all are the same: only one counts.
    scores = np.where(np.arange(beam_size) == 0, np.zeros(shape), -np.inf)
    lengths, ended = np.zeros(shape, int), np.zeros(shape, bool)

    def penalised(scores, lengths):
        return scores / ((5 + lengths) / 6) ** length_penalty

    for number in range(max_length):
        logits, state = step(last.reshape(-1), state, number)
        further = _log_probabilities(logits).reshape(*shape, -1)
        vocabulary = further.shape[-1]
        further[..., PADDING] = -np.inf
        # What has ended goes on with padding alone, which costs nothing.
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
        if _settled(penalised, scores, lengths, ended, max_length):
            break
        state = _rows(state, parents)
    best = penalised(scores, lengths).argmax(axis=1)
    found = tokens[np.arange(batch_size), best]
    return found[:, : (found != PADDING).sum(axis=1).max()]


def check_search(vocabulary_size, max_length, beam_size, length_penalty, **tokens):
    """Refuses a search that makes no sense.

    Args:
        vocabulary_size: Number of token ids, padding included.
        max_length: How many tokens there are at most.
        beam_size: How many sequences are kept.
        length_penalty: How much is made up to long ones.
        **tokens: Tokens that the search takes, by name.
    """
    checks.positive_integer(max_length=max_length, beam_size=beam_size)
    if not isinstance(length_penalty, int | float) or not length_penalty >= 0:
        raise ValueError(
            "`length_penalty` must be a number, zero or above. "
            f"Received: length_penalty={length_penalty!r}"
        )
    for name, token in tokens.items():
        if not isinstance(token, int) or not PADDING < token < vocabulary_size:
            raise ValueError(
                f"`{name}` must be a token from 1 to {vocabulary_size - 1}: 0 is "
                f"padding. Received: {name}={token!r}"
            )


def _settled(penalised, scores, lengths, ended, max_length):
    """Whether nothing that goes on can become better than the best that has ended."""
    own = np.where(ended, penalised(scores, lengths), -np.inf).max(axis=1)
    # A token more is never more probable, and length is made up for most at last.
    most = np.where(ended, -np.inf, penalised(scores, max_length)).max(axis=1)
    return bool((own >= most).all())


def _log_probabilities(logits):
    logits = ops.convert_to_numpy(ops.stop_gradient(logits)).astype("float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def _rows(state, parents):
    """The state with the rows of the parents, without what a gradient would need."""
    batch_size, beam_size = parents.shape
    rows = (np.arange(batch_size)[:, None] * beam_size + parents).reshape(-1)
    moved = bool((rows != np.arange(len(rows))).any())

    def row(x):
        x = ops.stop_gradient(x)
        return ops.take(x, rows, axis=0) if moved and len(x.shape) > 0 else x

    return keras.tree.map_structure(row, state)
