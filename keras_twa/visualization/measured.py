"""Weights of mechanisms by lag, measured on inputs."""

import numpy as np
from keras import ops

from keras_twa.layers.profiles import Curves
from keras_twa.layers.profiles import head_names

LAG = "steps from the key to the query"
# Small enough, relative to the inputs, to approximate a derivative.
SMALL = 1e-2


def measured(layer, inputs):
    """The panel of the weights of a layer by lag, averaged over the inputs.

    Args:
        layer: An attention layer.
        inputs: `(B, T, F)`.

    Returns:
        `Curves`: mean attention weights by head; or, for layers without them, how much
        a change of one step changes the output of another.
    """
    if layer.pairwise_mask:
        _, weights = layer(inputs, return_attention_scores=True, training=False)
        means = mean_by_lag(ops.convert_to_numpy(weights)).mean(axis=0)
        lines = dict(zip(head_names(layer, len(means)), means, strict=True))
        ylabel = "mean attention weight"
    else:
        found = [_influence(layer, row) for row in ops.convert_to_numpy(inputs)]
        lines = {"all heads": mean_by_lag(np.stack(found)).mean(axis=0)}
        ylabel = "change of the output\nper change of a step"
    length = inputs.shape[1]
    lags = np.arange(1 - length, length)
    if layer.causality == "always":
        lags = lags[length - 1 :]
        lines = {name: line[length - 1 :] for name, line in lines.items()}
    return Curves(LAG, ylabel, lags, lines)


def mean_by_lag(weights):
    """Means over the pairs with each lag `i - j`, from `1 - T` to `T - 1`.

    Args:
        weights: `(..., T, T)`.

    Returns:
        `(..., 2 T - 1)`.
    """
    length = weights.shape[-1]
    diagonals = [
        weights.diagonal(-lag, axis1=-2, axis2=-1).mean(axis=-1)
        for lag in range(1 - length, length)
    ]
    return np.stack(diagonals, axis=-1)


def _influence(layer, row):
    """How much a change of step `j` changes the output of step `i`, `(T, T)`."""
    length = len(row)
    change = np.random.default_rng(0).normal(size=row.shape).astype("float32")
    change *= SMALL * (row.std() or 1.0)
    # Copy `j` of the sequence has a changed step `j`.
    changed = np.repeat(row[None], length, axis=0)
    changed[np.arange(length), np.arange(length)] += change
    outputs = ops.convert_to_numpy(layer(changed, training=False))
    before = ops.convert_to_numpy(layer(row[None], training=False))
    moved = np.linalg.norm(outputs - before, axis=-1)
    return (moved / np.linalg.norm(change, axis=-1)[:, None]).T
