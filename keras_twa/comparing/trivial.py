"""Trivial baselines: predictions that ignore the inputs, or repeat the last value."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_twa.comparing.outputs import BINARY
from keras_twa.comparing.outputs import CLASS
from keras_twa.comparing.outputs import NUMBER
from keras_twa.comparing.outputs import Output
from keras_twa.tasks.array_rows import Group

EXPLANATIONS = {
    "majority": "how often each class is in the training rows, always",
    "constant": "how often each class is in the training rows, and the mean of numbers",
    "mean": "the mean of the training targets, always",
    "median": "the median of the training targets, always",
    "last value": "the last step of the input",
}
SMALLEST = 1e-7
# Rows that are predicted at once.
BATCH = 1024


def trivial_scores(
    outputs: Sequence[Output],
    groups: dict[str, list[Group]],
    compile_arguments: dict[str, Any],
    metric: str,
) -> dict[str, float]:
    """Returns the test scores of trivial predictions.

    Args:
        outputs: The outputs of the model.
        groups: The rows of each split.
        compile_arguments: What the model was compiled with.
        metric: The name of the value to return.

    Returns:
        The scores by the name of the baseline, empty if the loss is not one of Keras's
        for classes and numbers.
    """
    kinds = {output.kind for output in outputs}
    if not outputs or None in kinds:
        return {}
    train = [_all_targets(output, groups["train"]) for output in outputs]
    if kinds == {NUMBER}:
        names = ["mean", "median"]
    else:
        names = ["majority"] if NUMBER not in kinds else ["constant"]
    predictions = {
        name: [
            _constant(output, targets, name)
            for output, targets in zip(outputs, train, strict=True)
        ]
        for name in names
    }
    scores = {
        name: _score(outputs, groups["test"], compile_arguments, metric, constants)
        for name, constants in predictions.items()
    }
    if kinds == {NUMBER} and len(outputs) == 1:
        last = [_last_value(group, outputs[0]) for group in groups["test"]]
        if all(each is not None for each in last):
            scores["last value"] = _score(
                outputs, groups["test"], compile_arguments, metric, [last]
            )
    return {
        name: score
        for name, score in scores.items()
        if score is not None and math.isfinite(score)
    }


def _all_targets(output: Output, groups: Sequence[Group]) -> np.ndarray:
    """The training targets, with one axis of rows."""
    parts = [np.asarray(output.targets(g.arrays[1])[g.rows]) for g in groups]
    width = () if output.kind == CLASS else output.shape[-1:]
    if len(parts) == 1 and output.kind == NUMBER and parts[0].ndim > 1:
        return parts[0]
    return np.concatenate([part.reshape(-1, *width) for part in parts])


def _constant(output: Output, targets: np.ndarray, name: str) -> np.ndarray:
    """What is predicted for each row, up to its shape."""
    if output.kind == NUMBER:
        statistic = np.median if name == "median" else np.mean
        return np.asarray(statistic(targets, axis=0), "float32")
    if output.kind == CLASS:
        count = output.shape[-1]
        shares = np.bincount(targets.astype("int64").ravel(), minlength=count)
        shares = shares / shares.sum()
    else:
        shares = targets.mean(axis=0)
    shares = np.clip(shares, SMALLEST, 1 - SMALLEST)
    if not output.from_logits:
        return np.asarray(shares, "float32")
    odds = shares / (1 - shares) if output.kind == BINARY else shares
    return np.asarray(np.log(odds), "float32")


def _last_value(group: Group, output: Output) -> np.ndarray | None:
    """The last step of the input, if it can stand for the target."""
    x = group.arrays[0]
    if isinstance(x, (dict, list, tuple)) or x.dtype.kind != "f" or x.ndim < 2:
        return None
    last = np.asarray(x[group.rows])[:, -1].reshape(len(group.rows), -1)
    wanted = output.targets(group.arrays[1]).shape[1:]
    if last.shape[1] == 1 or last.shape[1] == int(np.prod(wanted)) > 1:
        shape = (len(last), *(wanted if last.shape[1] > 1 else (1,) * len(wanted)))
        return np.broadcast_to(last.reshape(shape), (len(last), *wanted))
    return None


def _score(
    outputs: Sequence[Output],
    groups: Sequence[Group],
    compile_arguments: dict[str, Any],
    metric: str,
    predictions: Sequence[Any],
) -> float | None:
    """The value of predictions, computed by Keras as for the model itself."""
    named = len(outputs) > 1 or outputs[0].name != ""
    inputs, passed = [], {}
    for output in outputs:
        name = output.name or "output"
        inputs.append(keras.Input(output.shape))
        passed[name] = keras.layers.Identity(name=name)(inputs[-1])
    model = keras.Model(inputs, passed if named else passed["output"])
    model.compile(**compile_arguments | {"optimizer": "sgd", "jit_compile": False})

    def batches() -> Any:
        for number, group in enumerate(groups):
            for start in range(0, len(group.rows), BATCH):
                rows = group.rows[start : start + BATCH]
                x = []
                for output, each in zip(outputs, predictions, strict=True):
                    if isinstance(each, list):
                        found = each[number][start : start + BATCH]
                    else:
                        found = each
                    shape = (len(rows), *_row_shape(output, group))
                    whole = np.broadcast_to(_aligned(found, shape), shape)
                    x.append(np.array(whole, "float32"))
                targets = {
                    output.name: np.asarray(output.targets(group.arrays[1])[rows])
                    for output in outputs
                }
                weights = keras.tree.map_structure(
                    lambda w: None if w is None else np.asarray(w[rows]),  # noqa: B023
                    group.arrays[2],
                )
                yield tuple(x), targets if named else targets[""], weights

    steps = sum(-(-len(group.rows) // BATCH) for group in groups)
    values = model.evaluate(batches(), steps=steps, verbose=0, return_dict=True)
    return float(values[metric]) if metric in values else None


def _row_shape(output: Output, group: Group) -> tuple[int, ...]:
    """The shape of the predictions for a row of a group, whose length may differ."""
    targets = output.targets(group.arrays[1]).shape[1:]
    if output.kind == CLASS and len(targets) + 1 == len(output.shape):
        return (*targets, output.shape[-1])
    if len(targets) == len(output.shape):
        return tuple(targets)
    return output.shape


def _aligned(found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Predictions of as many axes as wanted, if only axes of size 1 are missing."""
    if found.ndim == len(shape) - 1 and shape[-1] == 1 and found.shape[-1:] != (1,):
        return found[..., None]
    return found
