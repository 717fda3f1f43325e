"""Memorization: facts that are in the weights, not in the row.

There are fixed facts: each key has a value of its own. A row is keys, each followed by
a blank, where the value of the key is the answer. Rows never show values: the model has
to learn the facts in training.

Source: [Poli et al., 2024](https://arxiv.org/abs/2403.17844).
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.settings import Settings

BLANK = 0
# The seed of the facts.
FACTS = 4


def facts(settings: Settings) -> np.ndarray:
    """Returns the value of each key, `(keys,)`."""
    rng = np.random.default_rng((settings.data_seed, FACTS))
    return rng.permutation(settings.value("facts"))


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    keys = rng.integers(settings.value("facts"), size=(count, length // 2))
    tokens = np.full((count, length), BLANK, "int32")
    tokens[:, : 2 * (length // 2) : 2] = 1 + keys
    targets, weights = np.zeros_like(tokens), np.zeros(tokens.shape, "float32")
    targets[:, 1::2], weights[:, 1::2] = facts(settings)[keys], 1.0
    return {"tokens": tokens}, targets, weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the value of the key before each step, `(N, T)`."""
    return facts(settings)[np.roll(inputs["tokens"], 1, axis=1) - 1]


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random values, `(N, T)`."""
    return rng.integers(settings.value("facts"), size=inputs["tokens"].shape)


OPTIONS = {"facts": 128}

PROBE = Probe(
    name="memorization",
    title="memorization",
    ability="It holds facts in its weights.",
    source="https://arxiv.org/abs/2403.17844",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 1 / settings.value("facts"),
    tokens=lambda settings: 1 + settings.value("facts"),
    outputs=lambda settings: settings.value("facts"),
    options=OPTIONS,
    presets={
        "quick": recipes.quick(max_length=16, options=OPTIONS),
        "standard": recipes.standard(max_length=32, options={"facts": 2_048}),
        "paper": recipes.paper(max_length=32, options=OPTIONS),
    },
)
TASK = PROBE.task
