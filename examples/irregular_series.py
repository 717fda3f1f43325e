"""Forecasts irregularly sampled series, where the times of observations matter.

KERAS_BACKEND=jax python examples/irregular_series.py
KERAS_BACKEND=jax python examples/irregular_series.py --attention dot_product,gru
KERAS_BACKEND=jax python examples/irregular_series.py --full

A series is an oscillation on a slow drift, both of which change over time. It is
observed 32 times, with noise, at random times and with gaps. The task is to forecast
its value at a later time. See `keras_twa.datasets.irregular_series`.

All models with attention get the same input: each observation with sines and cosines of
its time, followed by a step without an observation, at the time of the forecast. The
forecast is the output at that step. The models differ only in the attention, which also
gets the timestamps, and have about the same number of model weights. "dot_product" uses
timestamps only in its input. "dot_product_steps" has sines and cosines of step indices
instead, and never sees a time. A GRU gets the observations and the times between them.
The table also has forecasts without training, and the best possible forecast.

The numbers are the mean squared error of the forecasts in per cent of the variance of
the targets, and its standard deviation over the seeds.
"""

import argparse
import statistics
import time

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import keras
import numpy as np
from keras import ops
from rich.console import Console
from rich.table import Table

from keras_twa.datasets import irregular_series
from keras_twa.layers import DotProductAttention
from keras_twa.layers import GravitationalMultiTimescaleAttention
from keras_twa.layers import MultiTimescaleAttention
from keras_twa.layers import RetentionAttention
from keras_twa.layers import SinusoidalPositions
from keras_twa.layers import TemporalWeightedAttention
from keras_twa.layers import TransformerEncoder
from keras_twa.layers import TransformerXLAttention
from keras_twa.training import WarmupInverseSquareRoot

LENGTH = 32
HEADS = 2
LAYERS = 2
BATCH = 64
LEARNING_RATE = 3e-3
WARMUP_STEPS = 100

# Training series, epochs, width of the models and seeds, by default and with `--full`.
QUICK = {"rows": 8_192, "epochs": 4, "width": 32, "seeds": 3}
FULL = {"rows": 65_536, "epochs": 30, "width": 64, "seeds": 5}
TEST_ROWS = 2_048

# Ten observations, more or less: the unit in which functions of time are learned.
LEARNED = {"temporal_function": "learned", "time_scale": 10.0}
# Attention weights that oscillate with the lag, starting where the sigmoid is steepest.
# This was the best function and offset on these series, of offsets 0, 1, 2 and 4.
SINUSOIDAL = {
    "temporal_function": "sinusoidal",
    "time_scale": 10.0,
    "applies_to": "lag",
    "initial_offset": 0.0,
}
# Class, its own arguments, and the total width of its heads relative to the model, so
# that all models have about the same number of weights.
ATTENTION = {
    "dot_product_steps": (DotProductAttention, {}, 1),
    "dot_product": (DotProductAttention, {}, 1),
    "temporal_weighted_key": (TemporalWeightedAttention, LEARNED, 1),
    "temporal_weighted_lag": (
        TemporalWeightedAttention,
        {**LEARNED, "applies_to": "lag"},
        1,
    ),
    "temporal_weighted_sinusoidal": (TemporalWeightedAttention, SINUSOIDAL, 1),
    "multi_timescale": (MultiTimescaleAttention, {}, 1 / 3),
    "gravitational_multi_timescale": (GravitationalMultiTimescaleAttention, {}, 1 / 3),
    "transformer_xl": (TransformerXLAttention, {}, 7 / 8),
    "retention": (RetentionAttention, {}, 3 / 4),
}
NAMES = (*ATTENTION, "gru")


def build_transformer(name, width):
    """A model of encoder blocks; only the mechanism differs."""
    layer_class, options, part = ATTENTION[name]
    values = keras.Input((LENGTH + 1, 2))
    times = keras.Input((LENGTH + 1,))
    seen = None if name == "dot_product_steps" else times
    x = keras.layers.Dense(width)(values)
    x = SinusoidalPositions()(x, positions=seen)
    for _ in range(LAYERS):
        attention = layer_class(
            num_heads=HEADS,
            key_dim=int(part * width) // HEADS,
            **options,
        )
        x = TransformerEncoder(
            intermediate_dim=2 * width,
            num_heads=HEADS,
            attention=attention,
            activation="gelu",
            normalize_first=True,
        )(x, positions=seen)
    x = keras.layers.LayerNormalization()(x[:, -1])
    return keras.Model([values, times], keras.layers.Dense(1)(x))


def build_gru(width):
    """A GRU with about as many weights, which sees the times between observations."""
    values = keras.Input((LENGTH + 1, 2))
    times = keras.Input((LENGTH + 1,))
    waits = ops.pad(ops.diff(times, axis=1), ((0, 0), (1, 0)))
    x = keras.layers.Concatenate()([values, waits[..., None]])
    units = 4 * width // 3
    x = keras.layers.GRU(units, return_sequences=True)(x)
    x = keras.layers.GRU(units)(x)
    return keras.Model([values, times], keras.layers.Dense(1)(x))


def build_model(name, width):
    """A model that is ready to train."""
    model = build_gru(width) if name == "gru" else build_transformer(name, width)
    rates = WarmupInverseSquareRoot(LEARNING_RATE, WARMUP_STEPS)
    model.compile(keras.optimizers.Adam(rates, clipnorm=1.0), loss="mse")
    return model


def as_inputs(inputs):
    """Adds the step of the forecast: `(value, whether it is that step)`, and times."""
    values = np.pad(inputs["values"], ((0, 0), (0, 1)))
    asks = np.zeros_like(values)
    asks[:, -1] = 1.0
    return [np.stack([values, asks], axis=-1), inputs["times"]]


def unexplained(forecasts, targets):
    """The mean squared error in per cent of the variance."""
    return 100 * float(np.mean((forecasts - targets) ** 2) / np.var(targets))


def baselines(train, test):
    """The unexplained variance of forecasts without training, and of the best one."""
    (inputs, targets), (test_inputs, test_targets) = train, test

    def ahead(values):
        return np.concatenate([values, np.ones_like(values[:, :1])], axis=1)

    weights, *_ = np.linalg.lstsq(ahead(inputs["values"]), targets)
    forecasts = {
        "mean": np.full_like(test_targets, targets.mean()),
        "last value": test_inputs["values"][:, -1],
        "linear, without times": ahead(test_inputs["values"]) @ weights,
        "best possible": irregular_series.exact_forecast(test_inputs),
    }
    return {name: unexplained(x, test_targets) for name, x in forecasts.items()}


def train_and_test(name, sizes, train, validation, test, console):
    """The error for each seed, the number of weights, and the seconds per seed."""
    model = build_model(name, sizes["width"])
    errors, seconds = [], []
    for seed in range(sizes["seeds"]):
        # Compiled once: each seed sets new weights in the same model.
        keras.utils.set_random_seed(seed)
        model.set_weights(build_model(name, sizes["width"]).get_weights())
        for variable in model.optimizer.variables:
            variable.assign(np.zeros(variable.shape))
        start = time.perf_counter()
        model.fit(*train, batch_size=BATCH, epochs=sizes["epochs"], verbose=0)
        seconds.append(time.perf_counter() - start)
        found = {
            split: unexplained(model.predict(x, BATCH, verbose=0)[:, 0], y)
            for split, (x, y) in {"validation": validation, "test": test}.items()
        }
        errors.append(found["test"])
        console.print(
            f"{name:30} seed {seed}  unexplained in validation "
            f"{found['validation']:5.1f} %  {seconds[-1]:4.0f} s"
        )
    return errors, model.count_params(), statistics.mean(seconds)


def parse(arguments):
    """The settings of a run, from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
    )
    parser.add_argument(
        "--attention",
        default=",".join(NAMES),
        help=f"names separated by commas, of {', '.join(NAMES)} (default: all)",
    )
    parser.add_argument("--epochs", type=int, help="default: 4, or 30 with --full")
    parser.add_argument("--seeds", type=int, help="default: 3, or 5 with --full")
    parser.add_argument(
        "--full",
        action="store_true",
        help="65,536 series, 30 epochs and models twice as wide: for a GPU",
    )
    options = parser.parse_args(arguments)
    names = options.attention.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"--attention must name some of {', '.join(NAMES)}, not {unknown}")
    sizes = dict(FULL if options.full else QUICK)
    for name in ("epochs", "seeds"):
        given = getattr(options, name)
        if given is not None and given < 1:
            parser.error(f"--{name} must be positive, not {given}")
        sizes[name] = given or sizes[name]
    return names, sizes


def main(arguments=None):
    """Trains all models on the same series, and prints the results."""
    names, sizes = parse(arguments)
    splits = irregular_series.load_data(
        sizes["rows"], TEST_ROWS // 2, TEST_ROWS, length=LENGTH
    )
    console = Console(highlight=False, markup=False, emoji=False)
    table = Table(
        "forecast",
        "unexplained",
        "weights",
        "seconds",
        title=(
            f"Irregular series, {sizes['seeds']} seeds, {sizes['epochs']} epochs, "
            f"{keras.backend.backend()} backend"
        ),
    )
    for name, error in baselines(splits[0], splits[2]).items():
        table.add_row(name, f"{error:.1f} %", "", "")
    table.add_section()
    arrays = [(as_inputs(inputs), targets) for inputs, targets in splits]
    for name in names:
        errors, weights, seconds = train_and_test(name, sizes, *arrays, console)
        spread = f" ± {statistics.stdev(errors):.1f}" if len(errors) > 1 else ""
        table.add_row(
            name,
            f"{statistics.mean(errors):.1f}{spread} %",
            f"{weights:,}",
            f"{seconds:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
