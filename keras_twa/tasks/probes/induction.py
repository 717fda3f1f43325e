"""Induction: the token that came after a mark, in rows of any length.

A row is random tokens. Among them are a few marks, each once, and the token after a
mark is what to remember. The last steps are the same marks, in random order, and the
answer at each is the token that came after it. Test rows are up to 16 times as long as
those in training, with as many marks.

Source: [Gu and Dao, 2023](https://arxiv.org/abs/2312.00752), which has one mark.
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import distinct
from keras_twa.tasks.settings import Settings


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    marks, kinds = settings.value("marks"), settings.value("vocabulary")
    tokens = rng.integers(kinds, size=(count, length), dtype="int32")
    room = (length - marks) // 2
    places = 2 * distinct(rng, count, room, marks)
    # In an odd place for half of the rows.
    places += rng.integers(1 + (length - marks) % 2, size=(count, 1))
    answers = np.take_along_axis(tokens, places + 1, axis=1)
    np.put_along_axis(tokens, places, kinds + np.arange(marks, dtype="int32")[None], 1)
    order = distinct(rng, count, marks, marks)
    tokens[:, -marks:] = kinds + order
    targets, weights = np.zeros_like(tokens), np.zeros(tokens.shape, "float32")
    targets[:, -marks:] = np.take_along_axis(answers, order, axis=1)
    weights[:, -marks:] = 1.0
    return {"tokens": tokens}, targets, weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the token after the first mark that is the same, `(N, T)`."""
    tokens, marks = inputs["tokens"], settings.value("marks")
    answers = np.zeros_like(tokens)
    asked = tokens[:, -marks:]
    first = np.argmax(tokens[:, None, :] == asked[:, :, None], axis=2)
    answers[:, -marks:] = np.take_along_axis(tokens, first + 1, axis=1)
    return answers


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random tokens, `(N, T)`."""
    return rng.integers(settings.value("vocabulary"), size=inputs["tokens"].shape)


OPTIONS = {"marks": 4, "vocabulary": 16}

PROBE = Probe(
    name="induction",
    title="induction",
    ability="It finds what came after a mark, however long ago.",
    source="https://arxiv.org/abs/2312.00752",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 1 / settings.value("vocabulary"),
    tokens=lambda settings: settings.value("vocabulary") + settings.value("marks"),
    outputs=lambda settings: settings.value("vocabulary"),
    options=OPTIONS,
    test_lengths=(1, 2, 4, 8, 16),
    presets={
        "quick": recipes.quick(max_length=24, options=OPTIONS),
        "standard": recipes.standard(max_length=64, options=OPTIONS),
        "paper": recipes.paper(
            max_length=256, embedding_dim=64, options={"marks": 1, "vocabulary": 15}
        ),
    },
)
TASK = PROBE.task
