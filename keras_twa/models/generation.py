"""Generation of texts, one token after another."""

import numpy as np
from keras import ops

from keras_twa.layers import checks

# Caches have room for a multiple of this many steps, so that texts of similar length
# share a compiled step.
ROOM = 64


def prompts_of(given, vocabulary_size):
    """Prompts as a list of integer arrays, each with at least one token.

    Args:
        given: A list of prompts, each a list or an array of tokens; or one integer
            array `(B, T)`, padded with 0 on either side.
        vocabulary_size: Number of token ids, padding included.
    """
    if not isinstance(given, list | tuple):
        given = ops.convert_to_numpy(given)
        if given.ndim != 2:
            raise ValueError(
                "An array of prompts must have shape (batch, length). "
                f"Received: prompts of shape {given.shape}"
            )
        given = [np.trim_zeros(row) for row in given]
    if len(given) == 0:
        raise ValueError(f"There must be at least one prompt. Received: {given!r}")
    prompts = [np.asarray(prompt) for prompt in given]
    for prompt in prompts:
        if prompt.ndim != 1 or len(prompt) == 0:
            raise ValueError(
                "Each prompt must be a list of at least one token. "
                f"Received: {prompt.tolist()!r}"
            )
        checks.tokens("prompts", prompt, vocabulary_size)
    return prompts


def sources_of(given, vocabulary_size):
    """Sources as an int32 array `(B, S)`.

    Args:
        given: Integers `(B, S)`, padded with 0.
        vocabulary_size: Number of token ids, padding included.
    """
    source = ops.convert_to_numpy(given)
    if source.ndim != 2 or source.dtype.kind not in "iu" or not source.size:
        raise ValueError(
            "`source` must be integers (batch, length), with at least one token each. "
            f"Received: source of {source.dtype} and shape {source.shape}"
        )
    outside = source[(source < 0) | (source >= vocabulary_size)]
    if len(outside):
        raise ValueError(
            f"`source` must have tokens from 0 to {vocabulary_size - 1}. "
            f"Received: source with {sorted({*outside.tolist()})}"
        )
    return source.astype("int32")


def room_for(steps):
    """The size of a cache with room for this many steps."""
    return -(-steps // ROOM) * ROOM


def broken(logits):
    """Which rows of logits cannot choose a token, boolean without the last axis.

    These contain NaN or +infinity, or -infinity for all tokens except padding. A model
    never generates a token with a logit of -infinity.

    Args:
        logits: `(..., vocabulary)`, where the first token is padding.
    """
    wrong = ops.logical_or(ops.isnan(logits), ops.equal(logits, float("inf")))
    none = ops.all(ops.equal(logits[..., 1:], -float("inf")), axis=-1)
    return ops.logical_or(ops.any(wrong, axis=-1), none)


def refuse_broken(rows, number):
    """Raises `ValueError` if there are rows with broken logits.

    Args:
        rows: Integers, the rows of the batch with broken logits.
        number: The number of the next token, from 0.
    """
    if len(rows):
        raise ValueError(
            "The model gives NaN or infinite logits, so no token can be chosen. Look "
            "for NaN in its weights, or for an overflow of float16. "
            f"Received: logits that are not finite in rows {[int(r) for r in rows]}, "
            f"for the new token {number}"
        )


def go_on(prompts, max_new_tokens, stop_tokens, predict, choose, state):
    """Continues prompts of different lengths together, with the same results as alone.

    First, a few calls read as many tokens as the shortest prompt has. Each call reads
    the largest remaining power of two, so that prompts of different lengths share
    compiled calls. Then all rows take one step at a time: a row reads the next token of
    its prompt while there is one, and then the chosen token. Therefore no row is
    padded, and every token has the same position as in its row alone.

    Args:
        prompts: List of integer arrays.
        max_new_tokens: The largest number of new tokens of a row.
        stop_tokens: After one of these, a row is complete.
        predict: Function of tokens `(B, T)` and a state. It returns the logits
            `(B, vocabulary)` of the next token, which rows are `broken`, and the next
            state.
        choose: Function from logits to tokens `(B,)`.
        state: The state before the first token.

    Returns:
        A list of lists: each prompt with its continuation.
    """
    starts = np.array([len(prompt) for prompt in prompts])
    ends = starts + max_new_tokens
    tokens = np.zeros((len(prompts), ends.max()), "int32")
    for row, prompt in zip(tokens, prompts, strict=True):
        row[: len(prompt)] = prompt
    read, place = 0, int(starts.min())
    while (left := place - read) & (left - 1):
        size = 1 << (left.bit_length() - 1)
        *_, state = predict(tokens[:, read : read + size], state)
        read += size
    while place < ends.max():
        logits, wrong, state = predict(tokens[:, read:place], state)
        # Other rows are still reading their prompts, or are complete and padded.
        open_rows = (starts <= place) & (place < ends)
        rows = np.flatnonzero(open_rows & ops.convert_to_numpy(wrong))
        refuse_broken(rows, place - starts[rows[0]] if len(rows) else 0)
        chosen = ops.convert_to_numpy(choose(logits))
        _check_chosen(chosen, open_rows, logits.shape[-1])
        tokens[open_rows, place] = chosen[open_rows]
        ends[open_rows & np.isin(chosen, stop_tokens)] = place + 1
        read, place = place, place + 1
    return [row[:end].tolist() for row, end in zip(tokens, ends, strict=True)]


def _check_chosen(chosen, open_rows, vocabulary_size):
    """Raises `ValueError` unless a sampler chose a token for each open row."""
    fits = chosen.shape == open_rows.shape and chosen.dtype.kind in "iu"
    wanted = chosen[open_rows] if fits else chosen
    if not fits or not ((wanted > 0) & (wanted < vocabulary_size)).all():
        raise ValueError(
            "`sampler` must choose one token for each row, an integer from 1 to "
            f"{vocabulary_size - 1}: 0 is padding. "
            f"Received: {chosen.dtype} of shape {chosen.shape}, {wanted.tolist()!r}"
        )
