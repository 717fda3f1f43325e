"""The state of a run on disk: arrays and plain values in one file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa import files

# Ends a message; the path of the checkpoint follows.
REMEDY = "Remove it to restart this run. Received"


def save_checkpoint(
    path: str | os.PathLike[str],
    arrays: Mapping[str, list[np.ndarray]],
    state: Mapping[str, Any],
) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: The file.
        arrays: Lists of arrays by name.
        state: Plain values for JSON.
    """
    path = Path(path)
    counts = {name: len(values) for name, values in arrays.items()}
    text = json.dumps({"state": state, "counts": counts})
    flat = {
        f"{name}/{index}": value
        for name, values in arrays.items()
        for index, value in enumerate(values)
    }
    files.write_arrays(path, {"state": np.array(text), **flat})
    # From killed processes.
    for leftover in path.parent.glob("*.part"):
        leftover.unlink(missing_ok=True)


def load_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]] | None:
    """Reads a checkpoint of `save_checkpoint()`.

    Returns:
        `(arrays, state)`, or `None` without a file.

    Raises:
        ValueError: If the file is not a checkpoint.
    """
    try:
        # Opened here, because NumPy does not close a damaged file.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            text = json.loads(str(file["state"]))
            arrays = {
                name: [file[f"{name}/{index}"] for index in range(count)]
                for name, count in text["counts"].items()
            }
            return arrays, text["state"]
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f"Not a checkpoint ({error}). {REMEDY}: {path}") from None
