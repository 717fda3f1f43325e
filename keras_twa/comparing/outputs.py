"""The outputs of a compiled model: the loss, the targets and the shape of each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# Kinds of targets.
CLASS, ONE_HOT, BINARY, NUMBER = "class", "one-hot", "binary", "number"
KINDS = {
    "sparse_categorical_crossentropy": CLASS,
    "categorical_crossentropy": ONE_HOT,
    "categorical_focal_crossentropy": ONE_HOT,
    "binary_crossentropy": BINARY,
    "binary_focal_crossentropy": BINARY,
    "mean_squared_error": NUMBER,
    "mse": NUMBER,
    "mean_absolute_error": NUMBER,
    "mae": NUMBER,
    "huber": NUMBER,
    "log_cosh": NUMBER,
    "logcosh": NUMBER,
    "mean_absolute_percentage_error": NUMBER,
    "mape": NUMBER,
    "mean_squared_logarithmic_error": NUMBER,
    "msle": NUMBER,
}


@dataclass(frozen=True)
class Output:
    """One output of a model.

    Args:
        name: Its name, empty if the model has only one.
        kind: `"class"` (integer labels), `"one-hot"`, `"binary"` (one or several yes or
            no), `"number"`, or `None` for a loss that is not known.
        from_logits: Whether the output is logits.
        shape: The shape of the output for one row.
        path: Where its targets are in the structure of all targets.
    """

    name: str
    kind: str | None
    from_logits: bool
    shape: tuple[int, ...]
    path: tuple[Any, ...]

    def targets(self, targets: Any) -> Any:
        """Returns its targets, of those of all outputs."""
        for key in self.path:
            targets = targets[key]
        return targets


def outputs_of(model: Any, loss: Any, predictions: Any, targets: Any) -> list[Output]:
    """Returns the outputs of a model.

    Args:
        model: The model.
        loss: `loss` as it was given to `compile`.
        predictions: What it predicts for some rows.
        targets: The targets of these rows.

    Returns:
        The outputs. Those without targets or a loss are left out; the list is empty if
        the structures of targets and outputs do not agree.
    """
    if not isinstance(predictions, (Mapping, list, tuple)):
        if isinstance(targets, (Mapping, list, tuple)):
            return []
        return [_output("", loss, predictions, ())]
    if isinstance(predictions, Mapping):
        names = {name: name for name in predictions}
    else:
        known = list(getattr(model, "output_names", None) or [])
        if len(known) != len(predictions):
            known = [str(index) for index in range(len(predictions))]
        names = dict(zip(known, range(len(predictions)), strict=True))
    found = []
    for index, (name, key) in enumerate(names.items()):
        each = _entry(loss, name, index)
        path = _path(targets, name, index)
        if each is None or path is None:
            continue
        found.append(_output(name, each, predictions[key], path))
    return found


def _output(name: str, loss: Any, prediction: Any, path: tuple[Any, ...]) -> Output:
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    return Output(
        name,
        KINDS.get(_name(loss)),
        bool(config.get("from_logits", False)),
        tuple(np.shape(prediction)[1:]),
        path,
    )


def _name(loss: Any) -> str:
    """The name of a loss in snake case, whatever it was given as."""
    if isinstance(loss, str):
        name = loss
    elif isinstance(loss, keras.losses.Loss):
        name = type(loss).__name__
    else:
        name = getattr(loss, "__name__", "")
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _entry(loss: Any, name: str, index: int) -> Any:
    if isinstance(loss, Mapping):
        return loss.get(name)
    if isinstance(loss, (list, tuple)):
        return loss[index] if index < len(loss) else None
    return loss


def _path(targets: Any, name: str, index: int) -> tuple[Any, ...] | None:
    if isinstance(targets, Mapping):
        return (name,) if name in targets else None
    if isinstance(targets, (list, tuple)):
        return (index,) if index < len(targets) else None
    return None
