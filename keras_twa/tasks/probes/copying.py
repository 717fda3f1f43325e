"""Copying: a string again, also one that is longer than in training.

A row is a mark, a string of random tokens, the mark, and the string again. From the
second mark on, the next token of the string is the answer. In training, strings have a
half of the largest length or more, and blanks follow. Test rows have strings of just so
many times the largest length.

Source: [Jelassi et al., 2024](https://arxiv.org/abs/2402.01032).
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.settings import Settings

BLANK, MARK, FIRST = 0, 1, 2


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    # The last token of the copy is only an answer.
    most = (length - 1) // 2
    least = most if length > settings.max_length else (most + 1) // 2
    sizes = rng.integers(least, most + 1, size=(count, 1))
    string = FIRST + rng.integers(settings.value("vocabulary"), size=(count, most))
    steps = np.arange(length)

    def of_string(places: np.ndarray) -> np.ndarray:
        places = np.broadcast_to(places, (count, length))
        return np.take_along_axis(string, np.clip(places, 0, most - 1), axis=1)

    tokens = np.where(
        steps <= sizes, of_string(steps - 1), of_string(steps - sizes - 2)
    )
    tokens[(steps == 0) | (steps == sizes + 1)] = MARK
    tokens[steps > 2 * sizes] = BLANK
    answered = (steps > sizes) & (steps <= 2 * sizes)
    targets = np.where(answered, of_string(steps - sizes - 1), 0)
    inputs = {"tokens": tokens.astype("int32")}
    return inputs, targets.astype("int32"), answered.astype("float32")


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the tokens of the string, from the mark on, `(N, T)`."""
    tokens = inputs["tokens"]
    # The second mark.
    size = np.argmax(tokens[:, 1:] == MARK, axis=1)[:, None]
    places = np.clip(np.arange(tokens.shape[1]) - size, 0, None)
    return np.take_along_axis(tokens, places, axis=1)


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random tokens, `(N, T)`."""
    size = inputs["tokens"].shape
    return FIRST + rng.integers(settings.value("vocabulary"), size=size)


OPTIONS = {"vocabulary": 24}

PROBE = Probe(
    name="copying",
    title="copying",
    ability="It repeats a string, also one longer than in training.",
    source="https://arxiv.org/abs/2402.01032",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 1 / settings.value("vocabulary"),
    tokens=lambda settings: FIRST + settings.value("vocabulary"),
    outputs=lambda settings: FIRST + settings.value("vocabulary"),
    options=OPTIONS,
    test_lengths=(1, 2, 4),
    presets={
        "quick": recipes.quick(max_length=24, epochs=8, options=OPTIONS),
        "standard": recipes.standard(max_length=64, options=OPTIONS),
        "paper": recipes.paper(max_length=256, options=OPTIONS),
    },
)
TASK = PROBE.task
