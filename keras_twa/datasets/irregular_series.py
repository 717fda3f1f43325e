"""Generated noisy oscillations, observed at irregular times. No downloads."""

import numpy as np

from keras_twa.datasets import checks

# The process: a sum of oscillations and slow drift whose phase and level decay.
# (variance, time to decay, period)
COMPONENTS = ((0.7, 40.0, 12.0), (0.3, 80.0, np.inf))
NOISE = 0.2
# After an observation, a gap follows with this probability, of this mean length.
GAP_PROBABILITY = 0.08
GAP_LENGTH = 8.0
ROWS_PER_BLOCK = 1024


def load_data(
    num_train=8_192,
    num_validation=1_024,
    num_test=2_048,
    length=32,
    max_horizon=6.0,
    seed=0,
):
    """Generates series to forecast from observations at irregular times.

    A series is a Gaussian process of mean 0 and variance 1: an oscillation of period 12
    and a slow drift, with covariance
    `0.7 exp(-t / 40) cos(2 pi t / 12) + 0.3 exp(-t / 80)` between times `t` apart. No
    two series share a phase or an amplitude. Observations have noise of standard
    deviation 0.2. Their times are a Poisson process of one observation per unit of
    time, which pauses for 8 units on average after one in twelve observations. The
    target is the value without noise at a time up to `max_horizon` after the last
    observation.

    The information in an observation therefore depends on its time before the forecast,
    of which its index reveals little. `exact_forecast` computes the best forecast.

    Args:
        num_train: Number of training series. Defaults to `8_192`.
        num_validation: Number of validation series. Defaults to `1_024`.
        num_test: Number of test series. Defaults to `2_048`.
        length: Observations of each series. Defaults to `32`.
        max_horizon: The time of the forecast is uniform between 0 and this value after
            the last observation. Defaults to `6.0`.
        seed: Non-negative integer. Defaults to `0`.

    Returns:
        `(inputs, targets)` of training, validation and test. `inputs` is a dictionary:
        "values", float32 `(rows, length)`, the observations; and "times", float32
        `(rows, length + 1)`, their times from 0 on, and last the time of the forecast.
        `targets`, float32 `(rows,)`, are the values at that time.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> (inputs, targets), _, _ = load_data(16, 4, 4, length=10)
    >>> inputs["values"].shape, inputs["times"].shape, targets.shape
    ((16, 10), (16, 11), (16,))

    Reference:

    - [Rasmussen and Williams, 2006](https://gaussianprocess.org/gpml), chapter 2
    """
    sizes = {
        "num_train": num_train,
        "num_validation": num_validation,
        "num_test": num_test,
        "length": length,
    }
    checks.integers_from(1, **sizes)
    checks.integers_from(0, seed=seed)
    if not 0 < max_horizon < np.inf:
        raise ValueError(
            "`max_horizon` must be positive and finite. "
            f"Received: max_horizon={max_horizon}"
        )
    return tuple(
        _split(np.random.default_rng((seed, split)), rows, length, max_horizon)
        for split, rows in enumerate((num_train, num_validation, num_test))
    )


def exact_forecast(inputs):
    """The expected value at the time of each forecast, which has the smallest error.

    It is the posterior mean of the Gaussian process, with the covariance that generated
    the series. A model that learns from series can approach it.

    Args:
        inputs: The inputs from `load_data`.

    Returns:
        float32 `(rows,)`.

    Example:

    >>> (inputs, targets), _, _ = load_data(512, 1, 1)
    >>> errors = exact_forecast(inputs) - targets
    >>> bool(np.mean(errors**2) < 0.5 * np.mean(targets**2))
    True
    """
    blocks = range(0, len(inputs["values"]), ROWS_PER_BLOCK)
    return np.concatenate(
        [
            _posterior_mean(
                inputs["values"][first : first + ROWS_PER_BLOCK],
                inputs["times"][first : first + ROWS_PER_BLOCK],
            )
            for first in blocks
        ]
    )


def covariance(lags):
    """The covariance of the values of a series at two times this far apart."""
    lags = np.abs(lags)
    return sum(
        variance * np.exp(-lags / memory) * np.cos(2 * np.pi * lags / period)
        for variance, memory, period in COMPONENTS
    )


def _split(rng, rows, length, max_horizon):
    """Inputs and targets of one split."""
    steps = rng.exponential(size=(rows, length))
    gaps = rng.exponential(GAP_LENGTH, size=(rows, length))
    steps += gaps * (rng.random((rows, length)) < GAP_PROBABILITY)
    # The first observation is at 0; the last step leads to the forecast.
    steps[:, -1] = rng.uniform(0.0, max_horizon, size=rows)
    times = np.concatenate([np.zeros((rows, 1)), np.cumsum(steps, axis=1)], axis=1)
    times = times.astype("float32")
    series = np.concatenate(
        [
            _sample(rng, times[first : first + ROWS_PER_BLOCK])
            for first in range(0, rows, ROWS_PER_BLOCK)
        ]
    )
    values = series[:, :-1] + NOISE * rng.normal(size=(rows, length))
    inputs = {"values": values.astype("float32"), "times": times}
    return inputs, series[:, -1].astype("float32")


def _sample(rng, times):
    """The process at these times, `(rows, length)`."""
    times = times.astype("float64")
    matrix = covariance(times[:, :, None] - times[:, None, :])
    # Times that nearly coincide would make the matrix singular.
    matrix += 1e-9 * np.eye(times.shape[1])
    root = np.linalg.cholesky(matrix)
    return np.einsum("bij,bj->bi", root, rng.normal(size=times.shape))


def _posterior_mean(values, times):
    times = times.astype("float64")
    observed, wanted = times[:, :-1], times[:, -1:]
    matrix = covariance(observed[:, :, None] - observed[:, None, :])
    matrix += NOISE**2 * np.eye(observed.shape[1])
    weights = np.linalg.solve(matrix, values[..., None].astype("float64"))[..., 0]
    mean = np.sum(covariance(wanted - observed) * weights, axis=1)
    return mean.astype("float32")
