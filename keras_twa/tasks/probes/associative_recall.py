"""Multi-query associative recall: the value that came with a key earlier in the row.

A row has P pairs of a key and a value, and then queries: keys of the row, each followed
by a blank. The answer to a query is the value of its key. The places of the queries
follow a power law. Half of the vocabulary is keys, and the other half is values. The
keys of a row differ, and so do its values.

With more `queries` than `pairs`, keys are asked again: small models learn sooner from
more answers in each row.

Source: [Arora et al., 2023](https://arxiv.org/abs/2312.04927).
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import distinct
from keras_twa.tasks.settings import Settings

BLANK = 0
# The exponent of the power law.
POWER = 0.01


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    pairs, queries = (settings.value(name) for name in ("pairs", "queries"))
    half = settings.value("vocabulary") // 2
    rows = np.arange(count)[:, None]
    keys = 1 + distinct(rng, count, half, pairs)
    values = 1 + half + distinct(rng, count, half, pairs)
    tokens = np.full((count, length), BLANK, "int32")
    tokens[:, : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2] = keys, values
    # A place for every second step after the pairs.
    room = (length - 2 * pairs) // 2
    likely = POWER * np.arange(1, room + 1, dtype="float64") ** (POWER - 1)
    # The largest sums of the logarithm and of Gumbel noise are a draw without
    # replacement.
    noise = rng.gumbel(size=(count, room)) + np.log(likely)
    chosen = np.argsort(-noise, axis=1)[:, :queries]
    # The first queries ask for each key once.
    asked = np.concatenate(
        [distinct(rng, count, pairs, pairs) for _ in range(-(-queries // pairs))],
        axis=1,
    )[:, :queries]
    places = 2 * pairs + 2 * chosen
    targets, weights = np.zeros_like(tokens), np.zeros(tokens.shape, "float32")
    tokens[rows, places] = keys[rows, asked]
    targets[rows, places] = values[rows, asked]
    weights[rows, places] = 1.0
    return {"tokens": tokens}, targets, weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the value that came with each key, `(N, T)`."""
    tokens, pairs = inputs["tokens"], settings.value("pairs")
    keys, values = tokens[:, : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2]
    same = tokens[:, :, None] == keys[:, None, :]
    return np.take_along_axis(values, np.argmax(same, axis=2), axis=1)


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random ones of the values of the row, `(N, T)`."""
    tokens, pairs = inputs["tokens"], settings.value("pairs")
    values = tokens[:, 1 : 2 * pairs : 2]
    return np.take_along_axis(values, rng.integers(pairs, size=tokens.shape), axis=1)


OPTIONS = {"pairs": 4, "queries": 12, "vocabulary": 32}


def _standard(length: int, pairs: int) -> Settings:
    options = {"pairs": pairs, "queries": pairs, "vocabulary": 256}
    return recipes.standard(max_length=length, options=options)


def _published(length: int, pairs: int, dim: int) -> Settings:
    return recipes.paper(
        max_length=length,
        embedding_dim=dim,
        num_heads=1,
        num_train=100_000,
        epochs=64,
        options={"pairs": pairs, "queries": pairs, "vocabulary": 8_192},
    )


PROBE = Probe(
    name="associative_recall",
    title="associative recall",
    ability="It finds the value that came with a key.",
    source="https://arxiv.org/abs/2312.04927",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 1 / settings.value("pairs"),
    tokens=lambda settings: settings.value("vocabulary") + 1,
    outputs=lambda settings: settings.value("vocabulary") + 1,
    options=OPTIONS,
    presets={
        "quick": recipes.quick(max_length=32, epochs=8, options=OPTIONS),
        "standard": _standard(64, 8),
        "standard_64_4": _standard(64, 4),
        "standard_128_16": _standard(128, 16),
        "paper": _published(64, 4, 64),
    },
)
TASK = PROBE.task
