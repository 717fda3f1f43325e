"""Nearest in space: the value of the nearest point, in a metric that is to be learned.

A row is points with a value each, and then queries, which are points without a value.
The answer is the value of the point nearest to the query. Distances are Euclidean after
a fixed linear map, which is the same in all rows: it shrinks half of the directions to
a fifth. The features of a step are the coordinates, the value as a one-hot vector, and
whether it is a query. Longer test rows have more points. The order of the points has no
meaning, so models have no positions.

Source: this package.
"""

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import chance_of_one
from keras_twa.tasks.settings import Settings

SHRUNK = 0.2
# The seed of the map.
MAP = 5


def metric(settings: Settings) -> np.ndarray:
    """Returns the linear map `(D, D)`."""
    dim = settings.value("dimensions")
    rng = np.random.default_rng((settings.data_seed, MAP))
    turn, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    scales = np.where(np.arange(dim) < (dim + 1) // 2, 1.0, SHRUNK)
    return turn * scales


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    queries, kinds = settings.value("queries"), settings.value("vocabulary")
    dim = settings.value("dimensions")
    values = np.zeros((count, length, features(settings)), "float32")
    values[..., :dim] = rng.normal(size=(count, length, dim))
    points = length - queries
    drawn = rng.integers(kinds, size=(count, points))
    values[:, :points, dim : dim + kinds] = np.eye(kinds)[drawn]
    values[:, points:, -1] = 1.0
    weights = np.zeros((count, length), "float32")
    weights[:, points:] = 1.0
    inputs = {"values": values}
    return inputs, solve(inputs, settings), weights


def features(settings: Settings) -> int:
    """Returns the number of features of a step."""
    return int(settings.value("dimensions") + settings.value("vocabulary") + 1)


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the value of the point nearest to each step, `(N, T)`."""
    dim, values = settings.value("dimensions"), inputs["values"]
    points = values.shape[1] - settings.value("queries")
    places = values[..., :dim].astype("float64") @ metric(settings)
    squares = np.sum(np.square(places[:, :points]), axis=2)
    nearest = np.empty(values.shape[:2], "int64")
    # Row by row: the distances of all rows at once may need gigabytes.
    for row, found in enumerate(nearest):
        # Squared distances, but for the square of the query.
        inner = places[row] @ places[row, :points].T
        found[:] = np.argmin(squares[row] - 2.0 * inner, axis=1)
    return np.take_along_axis(_labels(inputs, settings), nearest, axis=1)


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the values of random points of the row, `(N, T)`."""
    shape = inputs["values"].shape[:2]
    chosen = rng.integers(shape[1] - settings.value("queries"), size=shape)
    return np.take_along_axis(_labels(inputs, settings), chosen, axis=1)


def _labels(inputs: Inputs, settings: Settings) -> np.ndarray:
    dim = settings.value("dimensions")
    found = np.argmax(inputs["values"][..., dim:-1], axis=2)
    return found.astype("int32")


def _chance(settings: Settings) -> float:
    return chance_of_one(
        settings.max_length - settings.value("queries"), settings.value("vocabulary")
    )


OPTIONS = {"queries": 16, "vocabulary": 8, "dimensions": 4}

PROBE = Probe(
    name="nearest_in_space",
    title="nearest in space",
    ability="It finds the value of the nearest point, in a metric that it learns.",
    source="",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=_chance,
    features=features,
    outputs=lambda settings: settings.value("vocabulary"),
    options=OPTIONS,
    test_lengths=(1, 2, 4),
    presets={
        "quick": recipes.quick(
            max_length=32, epochs=8, positions="none", options=OPTIONS
        ),
        "standard": recipes.standard(
            max_length=96, positions="none", options={**OPTIONS, "queries": 32}
        ),
        "paper": recipes.paper(
            max_length=256, positions="none", options={**OPTIONS, "queries": 64}
        ),
    },
)
TASK = PROBE.task
