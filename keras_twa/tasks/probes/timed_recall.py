"""Timed recall: the value that was valid at a given time.

A row is a stream of values at uneven times: each is valid until the next one. Then come
queries, each with an earlier time. The answer is the value that was valid at this time,
that is, the last one before it. Gaps between values are exponentially distributed with
mean 1, and queries are at uniform times between the first value and the last gap's end.

All models get sines and cosines of times with their inputs. Mechanisms that use times
also get them as positions, and so do rotary positions.

Source: this package.
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import chance_of_one
from keras_twa.tasks.settings import Settings

QUERY = 0


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    queries, kinds = settings.value("queries"), settings.value("vocabulary")
    values = length - queries
    gaps = rng.exponential(size=(count, values + 1))
    ends = np.cumsum(gaps, axis=1)
    asked = ends[:, :1] + rng.random((count, queries)) * (ends[:, -1:] - ends[:, :1])
    times = np.concatenate([ends[:, :-1], asked], axis=1).astype("float32")
    tokens = np.full((count, length), QUERY, "int32")
    tokens[:, :values] = 1 + rng.integers(kinds, size=(count, values))
    weights = np.zeros(tokens.shape, "float32")
    weights[:, values:] = 1.0
    inputs = {"tokens": tokens, "times": times}
    return inputs, solve(inputs, settings), weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the last value that is not later than each step, `(N, T)`."""
    values = inputs["tokens"].shape[1] - settings.value("queries")
    times = inputs["times"]
    earlier = times[:, :, None] >= times[:, None, :values]
    last = np.maximum(np.sum(earlier, axis=2) - 1, 0)
    return np.take_along_axis(inputs["tokens"], last, axis=1)


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random ones of the values of the row, `(N, T)`."""
    tokens = inputs["tokens"]
    values = tokens.shape[1] - settings.value("queries")
    return np.take_along_axis(tokens, rng.integers(values, size=tokens.shape), axis=1)


def _chance(settings: Settings) -> float:
    return chance_of_one(
        settings.max_length - settings.value("queries"), settings.value("vocabulary")
    )


OPTIONS = {"queries": 16, "vocabulary": 8}

PROBE = Probe(
    name="timed_recall",
    title="timed recall",
    ability="It finds the value that was valid at a given time.",
    source="",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=_chance,
    tokens=lambda settings: 1 + settings.value("vocabulary"),
    outputs=lambda settings: 1 + settings.value("vocabulary"),
    options=OPTIONS,
    test_lengths=(1, 2, 4),
    uses_times=True,
    times_fall=True,
    presets={
        "quick": recipes.quick(max_length=32, epochs=8, options=OPTIONS),
        "standard": recipes.standard(max_length=96, options={**OPTIONS, "queries": 32}),
        "paper": recipes.paper(max_length=256, options={**OPTIONS, "queries": 64}),
    },
)
TASK = PROBE.task
