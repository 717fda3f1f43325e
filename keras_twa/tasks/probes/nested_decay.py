"""Nested decay: a sum of what has faded at several rates.

A row is random numbers at uneven times. The answer at each step mixes three traces of
all numbers so far. In a trace, a number fades exponentially with its age, at a known
rate: by a factor e in 1, 4 or 16 units of time. Gaps between numbers are exponentially
distributed with mean 1. Each trace is divided by its standard deviation at the step,
and so is their mix, the first minus the second plus the third. The score is the
explained variance. In test rows longer than in training, only the steps beyond the
length of training rows count.

Source: this package.
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import beyond_training
from keras_twa.tasks.settings import Settings

SIGNS = np.array([1.0, -1.0, 1.0])


def rates() -> np.ndarray:
    """Returns the rates at which numbers fade, per unit of time."""
    return 1.0 / np.array([1.0, 4.0, 16.0])


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    times = np.cumsum(rng.exponential(size=(count, length)), axis=1)
    numbers = rng.normal(size=(count, length, 1))
    # As the model gets them.
    inputs = {"values": numbers.astype("float32"), "times": times.astype("float32")}
    weights = beyond_training(count, length, settings)
    return inputs, solve(inputs, settings), weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the mix of the traces, `(N, T)`."""
    numbers = inputs["values"].astype("float64")
    gaps = np.diff(inputs["times"].astype("float64"), axis=1, prepend=0.0)
    fading = np.exp(-gaps[..., None] * rates())
    trace = np.zeros((len(numbers), len(SIGNS)))
    mixes = np.zeros(numbers.shape[:2], "float32")
    for step, weights in enumerate(_weights(numbers.shape[1])):
        trace = fading[:, step] * trace + numbers[:, step]
        mixes[:, step] = trace @ weights
    return mixes


def _weights(length: int) -> np.ndarray:
    """Returns the weights of the traces at each step, `(T, 3)`.

    A number fades by `exp(-rate gap)`, whose mean is `1 / (1 + rate)`. So the
    covariance of two traces follows a recursion.
    """
    fading = 1.0 / (1.0 + rates()[:, None] + rates())
    covariance = np.zeros_like(fading)
    found = []
    for _ in range(length):
        covariance = 1.0 + fading * covariance
        weights = SIGNS / np.sqrt(np.diag(covariance))
        found.append(weights / np.sqrt(weights @ covariance @ weights))
    return np.array(found)


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the mean of all answers, `(N, T)`."""
    return np.zeros(inputs["times"].shape)


PROBE = Probe(
    name="nested_decay",
    title="nested decay",
    ability="It sums what has faded at several rates.",
    source="",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 0.0,
    features=lambda settings: 1,
    outputs=lambda settings: 1,
    test_lengths=(1, 2, 4),
    uses_times=True,
    presets={
        "quick": recipes.quick(max_length=32),
        "standard": recipes.standard(max_length=96),
        "paper": recipes.paper(max_length=256),
    },
)
TASK = PROBE.task
