"""A model and its rows from files, for the command."""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_twa.comparing.data import Data
from keras_twa.experiments.text import one_line
from keras_twa.tasks.series_rows import SeriesRows

SPLITS = {"train": "train", "validation": "validation", "val": "validation"} | {
    "test": "test"
}
PARTS = ("x", "y", "weights")


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Returns the model in a `.keras` file.

    Raises:
        ValueError: If Keras cannot load it.
    """
    if not Path(path).is_file():
        raise ValueError(f"There is no such file. Received: model={str(path)!r}")
    try:
        with warnings.catch_warnings():
            # Each run starts with a new optimizer.
            warnings.filterwarnings("ignore", message="Skipping variable loading for")
            return keras.saving.load_model(path)
    except Exception as error:  # a model of the user's may raise anything
        raise ValueError(
            f"The model cannot be loaded: {type(error).__name__}: {one_line(error)} "
            f"Received: model={str(path)!r}"
        ) from error


def read_arrays(path: str | os.PathLike[str]) -> Data:
    """Returns the rows in an `.npz` file.

    The arrays are "x" and "y", and perhaps "weights". A model with several inputs or
    outputs has "x/NAME" and "y/NAME" for each. "x_validation" and "x_test" are rows of
    these splits, and "x_train" means the same as "x".

    Args:
        path: The file.

    Raises:
        ValueError: If the file or an array cannot be read, or a name is unknown.
    """
    splits: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for key, array in _loaded(path).items():
        split, part, name = _parsed(key, path)
        splits.setdefault(split, {}).setdefault(part, {})[name] = array
    found = {
        split: tuple(_structure(parts.get(part), path) for part in PARTS)
        for split, parts in splits.items()
    }
    if "train" not in found or any(each[0] is None for each in found.values()):
        raise ValueError(
            f"{path}: there must be an array `x` for each split. "
            f"Received: {', '.join(sorted(splits)) or 'no arrays'}"
        )
    x, y, weights = found["train"]
    return Data(
        x,
        y,
        weights,
        validation_data=found.get("validation"),
        test_data=found.get("test"),
    )


def of_series(rows: SeriesRows, model: keras.Model) -> Data:
    """Returns the rows of a table of series, as a model takes them.

    Args:
        rows: The rows.
        model: A model with one input, which gets the values; or with inputs called
            "values", "times" and "mask", or some of these.

    Raises:
        ValueError: If it has others.
    """
    names = [each.name for each in model.inputs]
    known = list(rows.splits["train"][0])
    if len(names) > 1 and not set(names) <= set(known):
        raise ValueError(
            "A model for a table of series must have one input, for the values, or "
            f"inputs called {', '.join(known)}. Received: inputs {', '.join(names)}"
        )

    def of(split: str) -> tuple[Any, Any, Any]:
        inputs, targets, weights = rows.splits[split]
        if len(names) == 1:
            return inputs[names[0] if names[0] in known else "values"], targets, weights
        return {name: inputs[name] for name in names}, targets, weights

    return Data(*of("train"), validation_data=of("validation"), test_data=of("test"))


def _loaded(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ValueError(f"There is no such file. Received: {path}") from None
    except (ValueError, EOFError, AttributeError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"This is no .npz file of arrays ({one_line(error)}). Received: {path}"
        ) from None


def _parsed(key: str, path: Any) -> tuple[str, str, str]:
    """The split, the part, and the name of an input or output, of an array's name."""
    whole, _, name = key.partition("/")
    part, _, split = whole.partition("_")
    if part not in PARTS or (split and split not in SPLITS):
        raise ValueError(
            f"{path}: there is an unknown array. The names are {', '.join(PARTS)}, "
            "with _train, _validation or _test, and /NAME for one of several inputs or "
            f"outputs. Received: array {key!r}"
        )
    return SPLITS[split or "train"], part, name


def _structure(arrays: dict[str, np.ndarray] | None, path: Any) -> Any:
    if arrays is None:
        return None
    if "" in arrays and len(arrays) > 1:
        raise ValueError(
            f"{path}: an array without a name stands beside named ones. "
            f"Received: {', '.join(sorted(arrays))}"
        )
    return arrays.get("", arrays)
