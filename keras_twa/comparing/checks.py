"""Checks of rows before any training."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_twa.comparing.outputs import BINARY
from keras_twa.comparing.outputs import CLASS
from keras_twa.comparing.outputs import ONE_HOT
from keras_twa.comparing.outputs import Output
from keras_twa.tasks.array_rows import Group

# Rows that are checked at once.
PART = 4096


def check_numbers(groups: dict[str, list[Group]]) -> None:
    """Raises `ValueError` for NaN and infinity in inputs, targets or weights."""
    for split, found in groups.items():
        for group in found:
            for path, array in keras.tree.flatten_with_path(group.arrays):
                if array is None or array.dtype.kind not in "fc":
                    continue
                for start in range(0, len(array), PART):
                    part = np.asarray(array[start : start + PART])
                    if np.isfinite(part).all():
                        continue
                    wrong = ~np.isfinite(part).reshape(len(part), -1).all(axis=1)
                    row = start + int(wrong.argmax())
                    what = ("inputs", "targets", "weights")[int(path[0])]
                    place = "".join(f"[{key!r}]" for key in path[1:])
                    raise ValueError(
                        f"The {what} must be finite numbers: replace or leave out NaN "
                        f"and infinity. Received: row {row} of the {split} "
                        f"{what}{place}"
                    )


def check_targets(outputs: Sequence[Output], groups: dict[str, list[Group]]) -> None:
    """Checks the targets of classifications.

    Args:
        outputs: The outputs of the model.
        groups: The rows of each split.

    Raises:
        ValueError: If a target is no class of the output, or all training targets are
            of one class.
    """
    for output in outputs:
        name = f" of the output {output.name!r}" if output.name else ""
        if output.kind not in (CLASS, ONE_HOT, BINARY):
            continue
        seen: set[Any] = set()
        for split, found in groups.items():
            for group in found:
                targets = output.targets(group.arrays[1])
                rows = np.asarray(targets[group.rows])
                _check_values(rows, output, split, name)
                if split == "train":
                    seen |= _classes(rows, output)
        if len(seen) == 1:
            raise ValueError(
                f"All training targets{name} are of one class, so there is nothing to "
                f"learn. Received: only {next(iter(seen))!r}"
            )


def _check_values(rows: np.ndarray, output: Output, split: str, name: str) -> None:
    if output.kind == CLASS:
        count = output.shape[-1] if output.shape else 1
        wrong = rows[(rows < 0) | (rows >= count) | (rows != np.floor(rows))]
        if len(wrong):
            raise ValueError(
                f"The targets{name} must be integers from 0 to {count - 1}, as the "
                f"model has {count} classes. Received: {wrong[0]} in the {split} "
                "targets"
            )
        return
    wrong = rows[(rows < 0) | (rows > 1)]
    if len(wrong):
        raise ValueError(
            f"The targets{name} must be from 0 to 1, as its loss is a cross-entropy. "
            f"Received: {wrong[0]} in the {split} targets"
        )


def _classes(rows: np.ndarray, output: Output) -> set[Any]:
    if output.kind == ONE_HOT:
        return {*np.unique(rows.argmax(axis=-1)).tolist()}
    return {*np.unique(rows).tolist()}
