"""Samplers, which choose the next token from logits."""

from dataclasses import dataclass

import keras
from keras import ops

from keras_twa.layers import checks


@dataclass(frozen=True)
class Sample:
    """Draws a token from the softmax of the logits, or of the largest of them.

    The distribution is `softmax(logits / temperature)`. `top_k` keeps only this many of
    the most probable tokens. Of these, `top_p` keeps the smallest number of the most
    probable tokens with at least this share of their probability. Ties are kept in the
    order of token ids.

    Args:
        temperature: Divisor of the logits. Values below 1 make probable tokens even
            more probable. Defaults to 1.
        top_k: Number of tokens to keep, or `None` for all.
        top_p: Share of the probability to keep, in (0, 1], or `None` for all.

    Call arguments:
        logits: `(B, vocabulary)`.
        seed: A `keras.random.SeedGenerator`, an integer, or `None`.

    Returns:
        Tokens, int32 `(B,)`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> import numpy as np
    >>> from keras_twa.models import Sample
    >>> logits = np.log([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1]])
    >>> [int(token) for token in Sample(top_k=1)(logits)]
    [1, 0]

    Reference:
        [Fan et al., 2018](https://arxiv.org/abs/1805.04833) on `top_k`;
        [Holtzman et al., 2020](https://arxiv.org/abs/1904.09751) on `top_p`
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self):
        checks.positive_number(temperature=self.temperature)
        if self.top_k is not None:
            checks.positive_integer(top_k=self.top_k)
        if self.top_p is not None:
            checks.positive_share(top_p=self.top_p)

    def __call__(self, logits, seed=None):
        logits = ops.cast(logits, "float32")
        # Relative to the largest, so that a low temperature does not give infinity.
        logits = logits - ops.max(logits, axis=-1, keepdims=True)
        tokens = ops.argsort(ops.negative(logits), axis=-1)
        ranked = ops.take_along_axis(logits, tokens, axis=-1)
        ranked = ops.divide(ranked, self.temperature)
        if self.top_k is not None:
            within = ops.less(ops.arange(0, ranked.shape[-1]), self.top_k)
            ranked = ops.where(within, ranked, -float("inf"))
        if self.top_p is not None:
            shares = ops.softmax(ranked, axis=-1)
            before = ops.cumsum(shares, axis=-1) - shares
            ranked = ops.where(ops.less(before, self.top_p), ranked, -float("inf"))
        rank = keras.random.categorical(ranked, 1, dtype="int32", seed=seed)
        chosen = ops.take_along_axis(tokens, rank, axis=-1)
        return ops.cast(chosen[:, 0], "int32")


def greedy(logits, seed=None):
    """The most probable token of each row, int32 `(B,)`.

    Args:
        logits: `(B, vocabulary)`.
        seed: Not used here.
    """
    del seed
    return ops.cast(ops.argmax(logits, axis=-1), "int32")


def get(sampler):
    """A sampler by name, or the given one.

    Args:
        sampler: "greedy", "sample", or a function of logits `(B, vocabulary)` and
            `seed`, such as a `Sample`, that returns integers `(B,)`.
    """
    by_name = {"greedy": greedy, "sample": Sample()}
    if callable(sampler):
        return sampler
    checks.one_of(tuple(by_name), sampler=sampler)
    return by_name[sampler]
