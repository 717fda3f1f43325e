"""Parity: whether the number of ones so far is odd.

A row is random bits, and the answer at each step is the parity of the bits so far. In
test rows longer than in training, only the steps beyond the length of training rows
count.

Source: [Grazzi et al., 2024](https://arxiv.org/abs/2411.12537), with the lengths of
[Beck et al., 2024](https://arxiv.org/abs/2405.04517).
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import beyond_training
from keras_twa.tasks.settings import Settings


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    tokens = rng.integers(2, size=(count, length), dtype="int32")
    targets = np.cumsum(tokens, axis=1, dtype="int32") % 2
    weights = beyond_training(count, length, settings)
    return {"tokens": tokens}, targets, weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the parity of the bits so far, `(N, T)`."""
    return np.cumsum(inputs["tokens"], axis=1) % 2


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random bits, `(N, T)`."""
    return rng.integers(2, size=inputs["tokens"].shape)


PROBE = Probe(
    name="parity",
    title="parity",
    ability="It keeps a state that each token may flip.",
    source="https://arxiv.org/abs/2411.12537",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 0.5,
    tokens=lambda settings: 2,
    outputs=lambda settings: 2,
    test_lengths=(1, 2, 4),
    presets={
        "quick": recipes.quick(max_length=32, epochs=4),
        "standard": recipes.standard(max_length=40),
        "paper": recipes.paper(max_length=40, embedding_dim=64, batch_size=256),
    },
)
TASK = PROBE.task
