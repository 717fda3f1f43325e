"""Recall among noise: the value that a key had before in the row.

A row is a sequence of pairs of a key and its value, in which each key always has the
same value. A fifth of all steps is noise, from a vocabulary of its own. Each time that
a key comes again, its value is the answer. Keys, values and noise have a third, a third
and a third of the vocabulary, if there is noise, or a half each.

Source: [Poli et al., 2024](https://arxiv.org/abs/2403.17844), which has 8 keys, 8
values and 16 kinds of noise. There, a key may have the same value as another one.
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import most_frequent_so_far
from keras_twa.tasks.probes.sequences import put
from keras_twa.tasks.probes.sequences import starts_of
from keras_twa.tasks.settings import Settings


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    keys, noise = settings.value("keys"), settings.value("noise")
    share = settings.value("noise_share")
    # Of the parts, when a part is one step of noise, or two steps of a pair.
    is_noise = rng.random((count, length)) < 2 * share / (1 + share)
    starts = starts_of(np.where(is_noise, 1, 2))
    value_of = rng.integers(keys, size=(count, keys))
    key = rng.integers(keys, size=(count, length))
    value = np.take_along_axis(value_of, key, axis=1)
    tokens = np.zeros((count, length), "int32")
    hum = 1 + 2 * keys + rng.integers(noise, size=key.shape)
    put(tokens, starts, hum, is_noise & (starts < length))
    pair = ~is_noise & (starts + 1 < length)
    put(tokens, starts, 1 + key, pair)
    put(tokens, starts + 1, 1 + keys + value, pair)
    targets, weights = np.zeros_like(tokens), np.zeros(tokens.shape, "float32")
    put(targets, starts, 1 + keys + value, pair)
    weights[came_before(tokens, tokens <= keys) & (tokens > 0)] = 1.0
    return {"tokens": tokens}, targets, weights


def came_before(tokens: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns whether each token came earlier in its row, boolean `(N, T)`.

    Args:
        tokens: `(N, T)`.
        counts: Which tokens may come again, boolean `(N, T)`.
    """
    same = (tokens[:, :, None] == tokens[:, None, :]) & counts[:, None, :]
    return np.tril(same, -1).any(axis=2) & counts


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the token after the first one that is the same, `(N, T)`."""
    tokens = inputs["tokens"]
    first = np.argmax(tokens[:, :, None] == tokens[:, None, :], axis=2)
    after = np.roll(tokens, -1, axis=1)
    return np.take_along_axis(after, first, axis=1)


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the most frequent value of the row so far, `(N, T)`."""
    keys = settings.value("keys")
    return most_frequent_so_far(inputs["tokens"], 1 + keys, keys)


OPTIONS = {"keys": 8, "noise": 16, "noise_share": 0.2}

PROBE = Probe(
    name="noisy_recall",
    title="recall among noise",
    ability="It finds what followed a token before, among noise.",
    source="https://arxiv.org/abs/2403.17844",
    draw=draw,
    solve=solve,
    guess=guess,
    tokens=lambda settings: 1 + 2 * settings.value("keys") + settings.value("noise"),
    outputs=lambda settings: 1 + 2 * settings.value("keys"),
    options=OPTIONS,
    presets={
        "quick": recipes.quick(max_length=40, options=OPTIONS),
        "standard": recipes.standard(max_length=128, options=OPTIONS),
        "paper": recipes.paper(max_length=128, options=OPTIONS),
    },
)
TASK = PROBE.task
