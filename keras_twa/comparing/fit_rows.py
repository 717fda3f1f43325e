"""The rows in the arguments of `fit`, written to files."""

import itertools
import sys
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_twa.comparing.array_file import ArrayFile

# Rows of an array that are read and written at once.
PART = 4096


@dataclass
class WrittenGroup:
    """Rows of the same shapes in files.

    Args:
        names: `(inputs, targets, weights)` with the name of a file for each array, and
            `None` where there is none.
        count: The number of rows.
        batch_size: The number of rows in the first batch, if they came in batches.
    """

    names: Any
    count: int
    batch_size: int | None = None


def write_rows(
    folder: Path,
    split: str,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    steps: int | None = None,
) -> list[WrittenGroup]:
    """Writes the rows of one split.

    Args:
        folder: The folder of the files.
        split: "train", "validation" or "test", for the names of the files.
        x: Arrays or tensors, lists and dictionaries of them, or a data set of batches:
            `tf.data.Dataset`, `torch.utils.data.DataLoader`, grain, `PyDataset`, or any
            other iterable.
        y: Targets for arrays.
        sample_weight: Weights for arrays.
        steps: Number of batches to read of a data set.

    Returns:
        A group for each shape of rows.

    Raises:
        ValueError: If the rows are none, endless, ragged, or of different numbers.
    """
    if _are_arrays(x):
        batches = _parts_of_arrays(split, x, y, sample_weight)
        batched = False
    else:
        if y is not None or sample_weight is not None:
            raise ValueError(
                "A data set has its targets and weights in it: `y` and `sample_weight` "
                f"must be `None`. Received: {split} rows of {type(x).__name__}"
            )
        batches, batched = _batches(split, x, steps), True
    writers: dict[Any, _Writer] = {}
    for batch in batches:
        rows = keras.tree.map_structure(lambda each: _as_array(each, split), batch)
        count = _common_length(rows, split)
        key = _shapes(rows)
        if key not in writers:
            stem = f"{split}-{len(writers)}"
            writers[key] = _Writer(folder, stem, rows, count if batched else None)
        writers[key].append(rows, count)
    groups = [writer.close() for writer in writers.values()]
    if not sum(group.count for group in groups):
        raise ValueError(f"There are no rows. Received: empty {split} data")
    kinds = {str(keras.tree.map_structure(_kind, group.names)) for group in groups}
    if len(kinds) > 1:
        raise ValueError(
            "All batches must have the same structure of inputs, targets and weights. "
            f"Received: {' and '.join(sorted(kinds))} in the {split} data"
        )
    return groups


class _Writer:
    """Writes the rows of one group."""

    def __init__(
        self, folder: Path, stem: str, rows: Any, batch_size: int | None
    ) -> None:
        self.batch_size, self.count = batch_size, 0
        self.files: list[ArrayFile | None] = []
        names: list[str | None] = []
        for path, array in keras.tree.flatten_with_path(rows):
            label = "-".join([("x", "y", "weights")[int(path[0])], *map(str, path[1:])])
            safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in label)
            name = f"{stem}-{len(names)}-{safe[:60]}.npy"
            file = None if array is None else ArrayFile(folder / name, array[0])
            self.files.append(file)
            names.append(None if file is None else name)
        self.names = keras.tree.pack_sequence_as(rows, names)

    def append(self, rows: Any, count: int) -> None:
        self.count += count
        for file, array in zip(self.files, keras.tree.flatten(rows), strict=True):
            if file is not None:
                file.append(array)

    def close(self) -> WrittenGroup:
        for file in self.files:
            if file is not None:
                file.close()
        return WrittenGroup(self.names, self.count, self.batch_size)


def _are_arrays(x: Any) -> bool:
    """Returns whether data is arrays, and not a data set."""
    if isinstance(x, (dict, list, tuple)):
        return True
    return (hasattr(x, "shape") and hasattr(x, "dtype")) or hasattr(x, "to_numpy")


def _parts_of_arrays(split: str, x: Any, y: Any, weights: Any) -> Iterator[Any]:
    """Yields parts of arrays, after a check of their numbers of rows."""
    whole = tuple(map(_plain_lists, (x, y, weights)))
    whole = keras.tree.map_structure(lambda each: _as_array(each, split), whole)
    count = _common_length(whole, split)
    for start in range(0, count, PART):
        yield keras.tree.map_structure(
            lambda each: None if each is None else each[start : start + PART],  # noqa: B023
            whole,
        )


def _plain_lists(data: Any) -> Any:
    """A list of numbers as one array; a list of arrays stays a list."""
    if isinstance(data, (list, tuple)):
        leaves = keras.tree.flatten(data)
        if leaves and all(isinstance(x, (int, float, str, bytes)) for x in leaves):
            return np.asarray(data)
    return data


def _batches(split: str, data: Any, steps: int | None) -> Iterator[Any]:
    """Yields `(inputs, targets, weights)` of the batches of a data set."""
    if steps is None:
        _check_finite(split, data)
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        numbers = itertools.count() if count is None else range(count)
        batches: Iterable[Any] = (data[number] for number in numbers)
    elif isinstance(data, Iterable):
        batches = data
    else:
        raise ValueError(
            "Data must be arrays, dictionaries or lists of arrays, or an iterable of "
            f"batches. Received: {split} data of type {type(data).__name__}"
        )
    for batch in itertools.islice(batches, steps):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(
            tuple(batch) if isinstance(batch, list) else batch
        )
        yield x, y, weights


def _check_finite(split: str, data: Any) -> None:
    """Raises `ValueError` for a data set that never ends."""
    endless = False
    if hasattr(data, "cardinality") and hasattr(data, "as_numpy_iterator"):
        endless = int(data.cardinality()) == -1
    elif isinstance(data, keras.utils.PyDataset):
        endless = data.num_batches is None
    elif hasattr(data, "__len__"):
        # grain's `repeat` without a number.
        endless = len(data) >= sys.maxsize // 2**16
    if endless:
        raise ValueError(
            "The data set never ends: give `steps_per_epoch`, the number of batches to "
            f"read, or leave out its `repeat`. Received: {split} data of type "
            f"{type(data).__name__}"
        )


def _as_array(value: Any, split: str) -> np.ndarray | None:
    """Returns the array of anything that `fit` takes as one."""
    if value is None:
        return None
    if hasattr(value, "to_numpy"):
        found = value.to_numpy()
    elif hasattr(value, "detach"):
        found = _of_pytorch(value)
    elif hasattr(value, "row_splits") or hasattr(value, "nested_row_splits"):
        found = np.empty(0, object)
    else:
        found = np.asarray(value)
    if found.dtype == object:
        texts = found.ravel().tolist()
        if texts and all(isinstance(text, (str, bytes)) for text in texts):
            decoded = [x.decode() if isinstance(x, bytes) else x for x in texts]
            return np.array(decoded).reshape(found.shape)
        raise ValueError(
            "Rows must be arrays of numbers or texts: pad rows of different lengths. "
            f"Received: {type(value).__name__} in the {split} data"
        )
    return found


def _of_pytorch(tensor: Any) -> np.ndarray:
    """Returns the values of a PyTorch tensor, whatever backend Keras has."""
    found: np.ndarray = tensor.detach().cpu().numpy()
    return found


def _common_length(rows: Any, split: str) -> int:
    arrays = [array for array in keras.tree.flatten(rows) if array is not None]
    counts = [len(array) if array.ndim else None for array in arrays]
    if len(set(counts)) != 1 or counts[0] is None:
        raise ValueError(
            "Inputs, targets and weights must have the same number of rows. "
            f"Received: shapes {[array.shape for array in arrays]} in the {split} data"
        )
    return int(counts[0])


def _shapes(rows: Any) -> Any:
    return tuple(
        None if array is None else (array.shape[1:], array.dtype.kind)
        for array in keras.tree.flatten(rows)
    )


def _kind(name: str | None) -> str:
    return "none" if name is None else "array"
