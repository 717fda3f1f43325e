"""Measures how soon the weights of `temporal_weighted` learn, from several starts.

    KERAS_BACKEND=jax python benchmarks/temporal_weights.py
    KERAS_BACKEND=jax python benchmarks/temporal_weights.py --tasks recent --seeds 1

A model has one encoder block, or two for the series, with weights that depend on lags.
Only the attention gets times, except for the series, whose input has them too.

- "recent": the mean of those of 24 numbers that are at most 20 units old. The loss is
  the mean squared error in percent of the variance.
- "valid": each step names an entity, a value, and whether the value is valid for 10 or
  for 50 units of time. The last step asks for the valid value of an entity. The loss is
  the crossentropy in nats; guessing has log 8 = 2.08.
- "series": forecasts of `keras_twa.datasets.irregular_series`, with weights that
  oscillate unless they are gated. The loss is the mean squared error in percent of the
  variance.

No row comes twice, so the training loss is that of unseen rows. A number is the mean
over 100 steps, up to the one in its column, and over the seeds, with the standard
deviation over the seeds. "range of W" is the largest difference of two weights of a
head, for lags from 0 to 60, after the last step.
"""

import argparse

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import keras
import numpy as np
from keras import ops

from keras_twa import layers
from keras_twa.datasets import irregular_series

BATCH, EVERY = 64, 100
COLUMNS = (100, 200, 300, 500, 1000)
WIDTH, HEADS = 32, 2
LENGTH, NOW = 24, 100.0
OLD = 20.0
ENTITIES, VALUES = 4, 8
LIFETIMES = np.array([10.0, 50.0])

SIGMOID = {"weighting": "sigmoid"}
DOUBLE = {"weighting": "double_sigmoid"}
GATED = {"temporal_function": "gated"}
# The options of the attention; `None` for attention without times.
STARTS = {
    "dot_product": None,
    "sigmoid(f), f = 4": {**SIGMOID, "initial_offset": 4.0},
    "sigmoid(f), f = 4, 10 times the rate": {**SIGMOID, "temporal_function": "fast"},
    "sigmoid(f), f = 0": {**SIGMOID, "initial_offset": 0.0},
    "2 sigmoid(f), f = 0": DOUBLE,
    "2 sigmoid(f), f = 0, 10 times the rate": {**DOUBLE, "temporal_function": "fast"},
    "sigmoid(f), f = 4, gated": {**SIGMOID, **GATED, "initial_offset": 4.0},
    "2 sigmoid(f), f = 0, gated": {**DOUBLE, **GATED},
}


class FastLine(keras.layers.Layer):
    """A line that changes ten times as much per step.

    Args:
        first: The initial value.
    """

    def __init__(self, first, **kwargs):
        super().__init__(**kwargs)
        self.first = first

    def build(self, shape):
        for name in ("offset", "slope"):
            weight = self.add_weight((HEADS,), "zeros", "float32", name=name)
            setattr(self, name, weight)

    def call(self, times):
        return self.first + 10.0 * (self.offset + self.slope * times)


def recent(rng, rows):
    """Numbers at random times, and the mean of the recent ones."""
    times = np.sort(rng.uniform(0, NOW, (rows, LENGTH)), axis=1)
    times[:, -1] = NOW
    numbers = rng.normal(size=times.shape)
    counts = times > NOW - OLD
    target = (numbers * counts).sum(axis=1) / counts.sum(axis=1)
    return np.stack([numbers, asking(numbers)], axis=-1), times, target


def valid(rng, rows):
    """Values with lifetimes, and the value of an entity that is still valid."""
    shape = (rows, LENGTH)
    numbers = np.tile(np.arange(LENGTH), (rows, 1))
    values, kinds = rng.integers(VALUES, size=shape), rng.integers(2, size=shape)
    # The first value of each entity is the valid one.
    share = np.where(
        numbers < ENTITIES, rng.uniform(0, 0.8, shape), rng.uniform(1.2, 2, shape)
    )
    times = NOW - LIFETIMES[kinds] * share
    asked = rng.integers(ENTITIES, size=rows)
    target = values[np.arange(rows), asked]
    steps = np.concatenate(
        [
            np.eye(ENTITIES)[numbers % ENTITIES],
            np.eye(VALUES)[values],
            np.eye(2)[kinds],
        ],
        axis=-1,
    )
    order = np.argsort(times, axis=1)
    steps = np.take_along_axis(steps, order[..., None], axis=1)
    times = np.take_along_axis(times, order, axis=1)
    question = np.zeros((rows, 1, steps.shape[-1]))
    question[np.arange(rows), 0, asked] = 1.0
    steps = np.concatenate([steps, question], axis=1)
    times = np.pad(times, ((0, 0), (0, 1)), constant_values=NOW)
    return np.concatenate([steps, asking(times)[..., None]], axis=-1), times, target


def series(rng, rows):
    """Observations at random times, and the value at a later time."""
    (inputs, target), *_ = irregular_series.load_data(
        rows, 1, 1, length=32, seed=int(rng.integers(2**31))
    )
    values = np.pad(inputs["values"], ((0, 0), (0, 1)))
    return np.stack([values, asking(values)], axis=-1), inputs["times"], target


def asking(steps):
    """An array `(rows, T)` that marks the last step."""
    found = np.zeros(steps.shape)
    found[:, -1] = 1.0
    return found


# The rows, the number of blocks and of outputs, the options of the attention, and
# whether the input has the times.
TASKS = {
    "recent": (recent, 1, 1, {"time_scale": 20.0}, False),
    "valid": (valid, 1, VALUES, {"time_scale": 20.0}, False),
    "series": (
        series,
        2,
        1,
        {"time_scale": 10.0, "temporal_function": "sinusoidal"},
        True,
    ),
}


def attention(options):
    """An attention layer with these options."""
    if options is None:
        return layers.DotProductAttention(HEADS, WIDTH // HEADS)
    if options.get("temporal_function") == "fast":
        line = FastLine(4.0 if options["weighting"] == "sigmoid" else 0.0)
        options = {**options, "temporal_function": line}
    return layers.TemporalWeightedAttention(
        HEADS, WIDTH // HEADS, applies_to="lag", **options
    )


def build(shape, blocks, outputs, options, timed):
    """A model that answers at the last step."""
    steps, times = keras.Input(shape), keras.Input(shape[:1])
    x = keras.layers.Dense(WIDTH)(steps)
    if timed:
        x = layers.SinusoidalPositions()(x, positions=times)
    for _ in range(blocks):
        x = layers.TransformerEncoder(
            2 * WIDTH,
            HEADS,
            attention=attention(options),
            activation="gelu",
            normalize_first=True,
        )(x, positions=times)
    x = keras.layers.LayerNormalization()(x[:, -1])
    return keras.Model([steps, times], keras.layers.Dense(outputs)(x))


def curves(task, options, rate, seeds):
    """The losses `(seeds, steps / 100)`, and the range of W after the last step."""
    rows_of, blocks, outputs, own, timed = TASKS[task]
    options = None if options is None else {**own, **options}
    found, ranges, model = [], [], None
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        rng = np.random.default_rng(seed)
        parts = [rows_of(rng, BATCH * EVERY) for _ in range(COLUMNS[-1] // EVERY)]
        fresh = build(parts[0][0].shape[1:], blocks, outputs, options, timed)
        if model is None:
            model = fresh
            loss = "mse"
            if outputs > 1:
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss=loss)
        # Compiled once: each seed sets new weights in the same model.
        model.set_weights(fresh.get_weights())
        for variable in model.optimizer.variables:
            if variable is not model.optimizer._learning_rate:
                variable.assign(np.zeros(variable.shape))
        losses = []
        for steps, times, target in parts:
            inputs = [steps.astype("float32"), times.astype("float32")]
            history = model.fit(inputs, target, BATCH, verbose=0).history["loss"]
            scale = 1.0 if outputs > 1 else 100.0 / np.var(target)
            losses.append(history[0] * scale)
        found.append(losses)
        ranges += [range_of(layer) for layer in weighted(model)]
    return np.array(found), max(ranges, default=None)


def weighted(model):
    """The layers with weights that depend on time alone."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, layers.TemporalWeightedAttention)
        and layer.get_config()["temporal_function"] != "gated"
    ]


def range_of(layer):
    """The largest difference of two weights of a head."""
    lags = np.arange(61, dtype="float32")
    weights = ops.convert_to_numpy(layer.weights_at(lags))
    return float(np.ptp(weights, axis=0).max())


def main(arguments=None):
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    given = parser.parse_args(arguments)
    for task in given.tasks.split(","):
        steps = " | ".join(f"step {step:,}" for step in COLUMNS)
        print(f"\n| {task} | {steps} | range of W |")
        print(f"| --- |{' ---: |' * (len(COLUMNS) + 1)}")
        for name, options in STARTS.items():
            if task == "series" and "times the rate" in name:
                continue
            losses, moved = curves(task, options, given.learning_rate, given.seeds)
            shown = losses[:, [step // EVERY - 1 for step in COLUMNS]]
            digits = 2 if TASKS[task][2] > 1 else 1
            cells = [
                f"{mean:.{digits}f} ± {spread:.{digits}f}"
                for mean, spread in zip(shown.mean(0), shown.std(0), strict=True)
            ]
            moved = "" if moved is None else f"{moved:.2f}"
            print(f"| `{name}` | {' | '.join(cells)} | {moved} |", flush=True)


if __name__ == "__main__":
    main()
