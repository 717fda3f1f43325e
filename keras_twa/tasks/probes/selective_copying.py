"""Selective copying: the tokens among blanks, in order.

A row has a few tokens at random places among blanks, and then as many marks. The answer
at the first mark is the first token, and so on.

Source: [Gu and Dao, 2023](https://arxiv.org/abs/2312.00752), with the sizes of [Poli et
al., 2024](https://arxiv.org/abs/2403.17844).
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import chance_of_one
from keras_twa.tasks.probes.sequences import distinct
from keras_twa.tasks.settings import Settings

BLANK, MARK, FIRST = 0, 1, 2


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    number = settings.value("tokens")
    room = length - number
    places = np.sort(distinct(rng, count, room, number), axis=1)
    drawn = FIRST + rng.integers(settings.value("vocabulary"), size=places.shape)
    tokens = np.full((count, length), BLANK, "int32")
    np.put_along_axis(tokens, places, drawn.astype("int32"), axis=1)
    tokens[:, room:] = MARK
    targets, weights = np.zeros_like(tokens), np.zeros(tokens.shape, "float32")
    targets[:, room:], weights[:, room:] = drawn, 1.0
    return {"tokens": tokens}, targets, weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the tokens of each row, in order, at its marks, `(N, T)`."""
    tokens, number = inputs["tokens"], settings.value("tokens")
    answers = np.zeros_like(tokens)
    answers[:, -number:] = tokens[tokens >= FIRST].reshape(len(tokens), number)
    return answers


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random ones of the tokens of the row, `(N, T)`."""
    tokens, number = inputs["tokens"], settings.value("tokens")
    found = tokens[tokens >= FIRST].reshape(len(tokens), number)
    chosen = rng.integers(number, size=tokens.shape)
    return np.take_along_axis(found, chosen, axis=1)


def _chance(settings: Settings) -> float:
    return chance_of_one(settings.value("tokens"), settings.value("vocabulary"))


OPTIONS = {"tokens": 4, "vocabulary": 8}

PROBE = Probe(
    name="selective_copying",
    title="selective copying",
    ability="It repeats the tokens that matter, in order, and skips the others.",
    source="https://arxiv.org/abs/2312.00752",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=_chance,
    tokens=lambda settings: FIRST + settings.value("vocabulary"),
    outputs=lambda settings: FIRST + settings.value("vocabulary"),
    options=OPTIONS,
    presets={
        "quick": recipes.quick(max_length=32, epochs=8, options=OPTIONS),
        "standard": recipes.standard(
            max_length=128, options={"tokens": 16, "vocabulary": 14}
        ),
        "paper": recipes.paper(
            max_length=256, options={"tokens": 16, "vocabulary": 14}
        ),
    },
)
TASK = PROBE.task
