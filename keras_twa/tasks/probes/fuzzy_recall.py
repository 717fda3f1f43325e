"""Fuzzy recall: keys and values of one to three tokens each.

A row has a few pairs of a key and a value, which are different runs of tokens, and keys
and values have vocabularies of their own. The pairs come in random order again and
again. When a key comes again, each token of its value is an answer: the first one is
due at the last token of the key.

Source: [Poli et al., 2024](https://arxiv.org/abs/2403.17844).
"""

import itertools

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import distinct
from keras_twa.tasks.probes.sequences import most_frequent_so_far
from keras_twa.tasks.probes.sequences import put
from keras_twa.tasks.probes.sequences import starts_of
from keras_twa.tasks.settings import Settings

LONGEST = 3


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    pairs, kinds = settings.value("pairs"), settings.value("vocabulary") // 2
    runs, lengths = motifs(kinds)
    key_of = draw_motifs(rng, count, pairs, lengths)
    value_of = draw_motifs(rng, count, pairs, lengths)
    # A part is a key and its value.
    pair = rng.integers(pairs, size=(count, length))
    # Each pair comes once at first.
    pair[:, :pairs] = distinct(rng, count, pairs, pairs)[:, :length]
    key, value = (np.take_along_axis(x, pair, axis=1) for x in (key_of, value_of))
    starts = starts_of(lengths[key] + lengths[value])
    begins = starts + lengths[key]
    fits = begins + lengths[value] <= length
    again = np.broadcast_to(np.arange(length) >= pairs, fits.shape) & fits
    tokens = np.zeros((count, length), "int32")
    targets, weights = np.zeros_like(tokens), np.zeros(tokens.shape, "float32")
    for step in range(LONGEST):
        put(tokens, starts + step, 1 + runs[key, step], fits & (lengths[key] > step))
        in_value = lengths[value] > step
        answer = 1 + kinds + runs[value, step]
        put(tokens, begins + step, answer, fits & in_value)
        put(targets, begins + step - 1, answer, again & in_value)
        put(weights, begins + step - 1, np.ones(fits.shape), again & in_value)
    return {"tokens": tokens}, targets, weights


def motifs(kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns all runs of one to three tokens, padded `(M, 3)`, and their lengths."""
    found = [
        (*run, *(0,) * (LONGEST - size))
        for size in range(1, LONGEST + 1)
        for run in itertools.product(range(kinds), repeat=size)
    ]
    sizes = [kinds**size for size in range(1, LONGEST + 1)]
    return np.array(found), np.repeat(np.arange(1, LONGEST + 1), sizes)


def draw_motifs(
    rng: np.random.Generator, count: int, chosen: int, lengths: np.ndarray
) -> np.ndarray:
    """Returns numbers of different runs, `(count, chosen)`, each length as likely."""
    likely = 1.0 / np.bincount(lengths)[lengths]
    noise = rng.gumbel(size=(count, len(lengths))) + np.log(likely)
    # Shuffled: the most likely would come first.
    first = np.argpartition(-noise, chosen, axis=1)[:, :chosen]
    return rng.permuted(first, axis=1)


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the tokens that came after the same key before, `(N, T)`."""
    kinds = settings.value("vocabulary") // 2
    answers = np.zeros_like(inputs["tokens"])
    for row, found in zip(inputs["tokens"].tolist(), answers, strict=True):
        known: dict[tuple[int, ...], list[int]] = {}
        step = 0
        while step < len(row) and row[step]:
            start = step
            while step < len(row) and 0 < row[step] <= kinds:
                step += 1
            key, begin = tuple(row[start:step]), step
            while step < len(row) and row[step] > kinds:
                step += 1
            value = known.setdefault(key, row[begin:step])
            found[begin - 1 : begin - 1 + len(value)] = value
    return answers


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the most frequent token of values so far, `(N, T)`."""
    kinds = settings.value("vocabulary") // 2
    return most_frequent_so_far(inputs["tokens"], 1 + kinds, kinds)


OPTIONS = {"pairs": 4, "vocabulary": 16}

PROBE = Probe(
    name="fuzzy_recall",
    title="fuzzy recall",
    ability="It finds values of several tokens by keys of several tokens.",
    source="https://arxiv.org/abs/2403.17844",
    draw=draw,
    solve=solve,
    guess=guess,
    tokens=lambda settings: 1 + settings.value("vocabulary"),
    outputs=lambda settings: 1 + settings.value("vocabulary"),
    options=OPTIONS,
    presets={
        "quick": recipes.quick(max_length=48, epochs=8, options=OPTIONS),
        "standard": recipes.standard(max_length=128, options={**OPTIONS, "pairs": 8}),
        "paper": recipes.paper(max_length=128, options={**OPTIONS, "pairs": 8}),
    },
)
TASK = PROBE.task
