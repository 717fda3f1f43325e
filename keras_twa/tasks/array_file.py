"""Series, or sequences of tokens, in an `.npz` file of NumPy."""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.suggestions import did_you_mean
from keras_twa.tasks.array_rows import SPLITS
from keras_twa.tasks.own_data import OwnSeries
from keras_twa.tasks.own_data import OwnTokens
from keras_twa.tasks.target_kind import LARGEST
from keras_twa.tasks.target_kind import REGRESSION

NAMES = ("x", "y", "times", "mask", "lengths")
# The split of each end of a name.
ENDS = {
    "": "",
    "_train": "train",
    "_validation": "validation",
    "_val": "validation",
    "_test": "test",
}
# Larger ones would make a model that consists of embeddings.
MOST_TOKENS = 1_000_000


def read_arrays(path: Path, kind: str | None = None) -> OwnSeries | OwnTokens:
    """Returns the series, or the sequences of tokens, of a file.

    Args:
        path: An `.npz` file with the arrays "x" and "y". Float `x` of shape `(N, T)` or
            `(N, T, features)` are series, with optional "times" `(N, T)`, and "mask"
            `(N, T)` or "lengths" `(N,)`. Integer `x` `(N, T)` are tokens, of which 0 is
            padding. Instead of each array there may be three, one for each split, such
            as "x_train", "x_validation" and "x_test".
        kind: "classification" or "regression". By default, the targets decide.

    Raises:
        ValueError: If an array is missing, unknown or malformed: with file and array.
    """
    parts = _parts(path, _loaded(path))
    tokens = {part.x.dtype.kind in "iu" and part.x.ndim == 2 for part in parts}
    shapes = {part.x.shape[2:] for part in parts}
    if len(tokens) > 1 or len(shapes) > 1:
        raise ValueError(
            f"{path}: `x` of all splits must have the same kind and features. "
            f"Received: {', '.join(f'{p.x.dtype}{p.x.shape}' for p in parts)}"
        )
    ends = np.cumsum([len(part.x) for part in parts])
    rows = np.split(np.arange(ends[-1]), ends[:-1])
    facts: dict[str, Any] = {
        "targets": _targets(parts, kind),
        "place": f"{path}, array {parts[0].names['y']!r}",
        "target": "y",
        "splits": dict(zip(SPLITS, rows, strict=True)) if len(parts) > 1 else None,
    }
    dates = {
        part.arrays["times"].dtype.kind == "M"
        for part in parts
        if "times" in part.arrays
    }
    if len(dates) > 1:
        raise ValueError(
            f"{path}: `times` of all splits must be numbers, or else dates. "
            f"Received: {', '.join(str(part.arrays['times'].dtype) for part in parts)}"
        )
    if tokens == {True}:
        found = [part.tokens() for part in parts]
        sequences = TokenSequences(*map(np.concatenate, zip(*found, strict=True)))
        return OwnTokens(sequences, **facts)
    read = [part.series() for part in parts]
    return OwnSeries(
        values=[each for values, _ in read for each in values],
        stamps=[each for _, stamps in read for each in stamps],
        has_times="times" in parts[0].arrays,
        **facts,
    )


def _loaded(path: Path) -> dict[str, np.ndarray]:
    """Returns all arrays of a file."""
    try:
        file = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"This is no .npz file ({error}). Received: {path}") from None
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError(
            "This is the file of a single array: write it with `numpy.savez`. "
            f"Received: {path}"
        )
    found = {}
    with file:
        for name in file.files:
            try:
                found[name] = file[name]
            except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise ValueError(
                    f"{path}: the array cannot be read ({error}). "
                    f"Received: array {name!r}"
                ) from None
            if not isinstance(found[name], np.ndarray):
                raise ValueError(
                    f"{path}: there is something else than arrays. Received: {name!r}"
                )
    return found


def _parts(path: Path, arrays: Mapping[str, np.ndarray]) -> list["_Part"]:
    """Returns the one part of a file, or its training, validation and test part."""
    known = {name + end: (name, split) for end, split in ENDS.items() for name in NAMES}
    keys: dict[str, dict[str, str]] = {}
    for key in arrays:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ValueError(
                f"{path}: there is an unknown array. {hint}Choose from: "
                f"{', '.join(NAMES)}, with _train, _validation and _test for splits. "
                f"Received: array {key!r}"
            )
        name, split = known[key]
        if name in keys.setdefault(split, {}):
            raise ValueError(
                f"{path}: two arrays mean the same. "
                f"Received: {keys[split][name]}, {key}"
            )
        keys[split][name] = key
    if set(keys) not in ({""}, set(SPLITS)):
        raise ValueError(
            f"{path}: there must be `x` and `y`, or both for each of the splits "
            f"{', '.join(SPLITS)}. Received: {', '.join(arrays) or 'no array'}"
        )
    wanted = {"x", "y"}.union(*keys.values())
    for split, found in keys.items():
        for name in sorted(wanted - set(found)):
            raise ValueError(
                f"{path}: there is no array {f'{name}_{split}'.rstrip('_')!r}. "
                f"Received: {', '.join(arrays)}"
            )
    return [
        _Part(
            path, keys[split], {name: arrays[key] for name, key in keys[split].items()}
        )
        for split in ("", *SPLITS)
        if split in keys
    ]


@dataclass
class _Part:
    """The arrays of one split, or of all of them.

    Args:
        path: The file, for errors.
        names: The name of each in the file.
        arrays: The arrays.
    """

    path: Path
    names: Mapping[str, str]
    arrays: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        self.x, self.y = self.arrays["x"], self.arrays["y"]
        if self.x.dtype.kind not in "iuf" or self.x.ndim not in (2, 3):
            raise self.error(
                "x",
                "must be floats (N, T) or (N, T, features), or integer tokens (N, T)",
                f"{self.x.dtype} of shape {self.x.shape}",
            )
        if not self.x.size:
            raise self.error("x", "must not be empty", f"shape {self.x.shape}")
        for name, array in self.arrays.items():
            wanted = self.x.shape[: 1 if name in ("y", "lengths") else 2]
            if name != "x" and array.shape != wanted:
                text = "same number of rows and steps as `x`"
                raise self.error(
                    name, f"must have the {text}, {wanted}", f"shape {array.shape}"
                )

    def error(self, array: str, must: str, received: str) -> ValueError:
        """Returns the error for an array that is not what it must be."""
        return ValueError(
            f"{self.path}, array {self.names[array]!r}: it {must}. Received: {received}"
        )

    def tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the tokens and lengths, without zeros in front and at the end."""
        for name in ("times", "mask", "lengths"):
            if name in self.arrays:
                raise self.error(
                    name,
                    "is for series, and `x` has integers (N, T), which are tokens "
                    "with 0 as padding: convert `x` to floats, if it has numbers",
                    f"x of {self.x.dtype}",
                )
        if self.x.min() < 0 or self.x.max() >= MOST_TOKENS:
            raise self.error(
                "x",
                f"must have tokens from 0, which is padding, to {MOST_TOKENS - 1}",
                f"tokens from {self.x.min()} to {self.x.max()}",
            )
        real = self.x != 0
        self._check_not_empty(real, "x", "token")
        # From the first to the last that is no padding.
        kept = np.maximum.accumulate(real, axis=1)
        kept &= np.maximum.accumulate(real[:, ::-1], axis=1)[:, ::-1]
        return self.x[kept].astype("int32"), kept.sum(axis=1)

    def series(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns the values and the time stamps of the real steps of each series."""
        real = self._real()
        values = self.x.astype("float64")
        if values.ndim == 2:
            values = values[..., None]
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(values) <= LARGEST) & real[..., None]
        if wrong.any():
            row, step, feature = np.argwhere(wrong)[0]
            raise self.error(
                "x",
                "must have finite float32 numbers; steps that are no part of a series "
                "need `mask` or `lengths`",
                f"{values[row, step, feature]} in row {row}, step {step}, "
                f"feature {feature}",
            )
        stamps = self._stamps(real)
        return (
            [row[kept] for row, kept in zip(values, real, strict=True)],
            [row[kept] for row, kept in zip(stamps, real, strict=True)],
        )

    def _real(self) -> np.ndarray:
        """Returns which steps are part of a series, `(N, T)`."""
        rows, steps = self.x.shape[:2]
        mask, lengths = self.arrays.get("mask"), self.arrays.get("lengths")
        if mask is not None and lengths is not None:
            raise self.error("mask", "and `lengths` exclude each other", "both")
        if mask is not None:
            if mask.dtype != bool:
                raise self.error("mask", "must be boolean", str(mask.dtype))
            self._check_not_empty(mask, "mask", "step")
            return mask
        if lengths is not None:
            if lengths.dtype.kind not in "iu":
                raise self.error("lengths", "must have integers", str(lengths.dtype))
            wrong = (lengths < 1) | (lengths > steps)
            if wrong.any():
                row = int(np.argmax(wrong))
                raise self.error(
                    "lengths", f"must be from 1 to {steps}", f"{lengths[row]} in {row=}"
                )
            return np.arange(steps) < lengths[:, None]
        return np.ones((rows, steps), "bool")

    def _check_not_empty(self, real: np.ndarray, array: str, what: str) -> None:
        empty = ~real.any(axis=1)
        if empty.any():
            raise self.error(
                array,
                f"must have at least one {what} in each row",
                f"none in row {int(np.argmax(empty))}",
            )

    def _stamps(self, real: np.ndarray) -> np.ndarray:
        """Returns the time stamps, by default the numbers of the steps, `(N, T)`."""
        times = self.arrays.get("times")
        if times is None:
            return np.broadcast_to(np.arange(float(real.shape[1])), real.shape)
        if times.dtype.kind not in "iufM":
            raise self.error("times", "must have numbers or dates", str(times.dtype))
        if times.dtype.kind == "M":
            wrong = np.isnat(times) & real
        else:
            times = times.astype("float64")
            wrong = ~np.isfinite(times) & real
        if wrong.any():
            row, step = np.argwhere(wrong)[0]
            raise self.error(
                "times",
                "must be finite",
                f"{times[row, step]} in row {row}, step {step}",
            )
        for row, (stamps, kept) in enumerate(zip(times, real, strict=True)):
            steps = np.flatnonzero(kept)
            falls = stamps[steps][1:] < stamps[steps][:-1]
            if falls.any():
                step = steps[1:][np.argmax(falls)]
                raise self.error(
                    "times",
                    "must not fall along a row",
                    f"{stamps[step]} in row {row}, step {step}",
                )
        return times


def _targets(parts: list[_Part], kind: str | None) -> np.ndarray:
    """Returns the targets of all splits: float64 if they are numbers, or else texts."""
    texts = {part.y.dtype.kind in "bU" for part in parts}
    found = []
    for part in parts:
        if part.y.dtype.kind not in "biufU" or len(texts) > 1:
            must = "must have numbers, or texts, or booleans, in all splits"
            raise part.error("y", must, str(part.y.dtype))
        if texts == {True}:
            if kind == REGRESSION:
                must = "must have numbers in a regression"
                raise part.error("y", must, str(part.y.dtype))
            found.append(part.y.astype("U"))
            continue
        targets = part.y.astype("float64")
        right = np.abs(targets) <= LARGEST
        if not right.all():
            row = int(np.argmin(right))
            must = "must have finite float32 numbers"
            raise part.error("y", must, f"{targets[row]} in row {row}")
        found.append(targets)
    return np.concatenate(found)
