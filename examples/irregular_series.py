"""Forecasts irregularly sampled series, where the times of observations matter.

KERAS_BACKEND=jax python examples/irregular_series.py
KERAS_BACKEND=jax python examples/irregular_series.py --attention dot_product,gru
KERAS_BACKEND=jax python examples/irregular_series.py --preset full

A series is an oscillation on a slow drift, both of which change over time. It is
observed 32 times, with noise, at random times and with gaps. The task is to forecast
its value at a later time. See `keras_twa.datasets.irregular_series`.

All models with attention get the same input: each observation with sines and cosines of
its time, followed by a step without an observation, at the time of the forecast. The
forecast is the output at that step. The models differ only in the attention, which also
gets the timestamps, and have about the same number of model weights. "dot_product" uses
timestamps only in its input. "dot_product_steps" has sines and cosines of step indices
instead, and never sees a time. A GRU gets the observations and the times between them.

The numbers are the mean squared error of the forecasts in per cent of the variance of
the targets. The report also has forecasts without training, and the best possible one.
It compares with conventional attention. `--preset full` needs a GPU.
"""

import sys

from keras_twa.cli import main

# Time scales of ten observations, more or less, are the unit of learned functions.
# Oscillating weights start at 0.5 and oscillate from the start, which was best here.
ATTENTION = """
    dot_product_steps,
    dot_product,
    temporal_weighted(temporal_function="learned", time_scale=10.0),
    temporal_weighted(temporal_function="learned", time_scale=10.0, applies_to="lag"),
    temporal_weighted(temporal_function="sinusoidal", time_scale=10.0,
                      applies_to="lag", initial_offset=0.0, weighting="sigmoid"),
    multi_timescale,
    gravitational_multi_timescale,
    transformer_xl,
    retention,
    gru
"""
OPTIONS = ["--task", "irregular_series", "--attention", ATTENTION, "--seeds", "0,1,2"]

if __name__ == "__main__":
    sys.exit(main(["compare", *OPTIONS, *sys.argv[1:]]))
