"""Compression: a whole row in the vector of its last step.

A row is random tokens and a mark. All tokens are answers, and a network decodes them
from the vector at the mark alone, one by one, by their place.

Source: [Poli et al., 2024](https://arxiv.org/abs/2403.17844).
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.settings import Settings

MARK = 0


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    tokens = 1 + rng.integers(settings.value("vocabulary"), size=(count, length))
    tokens = tokens.astype("int32")
    tokens[:, -1] = MARK
    return {"tokens": tokens}, tokens.copy(), (tokens != MARK).astype("float32")


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the tokens, `(N, T)`."""
    return inputs["tokens"]


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random tokens, `(N, T)`."""
    size = inputs["tokens"].shape
    return 1 + rng.integers(settings.value("vocabulary"), size=size)


OPTIONS = {"vocabulary": 16}

PROBE = Probe(
    name="compression",
    title="compression",
    ability="It packs a whole row into one vector.",
    source="https://arxiv.org/abs/2403.17844",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 1 / settings.value("vocabulary"),
    tokens=lambda settings: 1 + settings.value("vocabulary"),
    outputs=lambda settings: 1 + settings.value("vocabulary"),
    options=OPTIONS,
    decodes=True,
    presets={
        "quick": recipes.quick(max_length=16, options=OPTIONS),
        "standard": recipes.standard(max_length=32, options=OPTIONS),
        "paper": recipes.paper(max_length=32, options=OPTIONS),
    },
)
TASK = PROBE.task
