"""Tasks on files of the user: tables of series, and arrays."""

import os
import re
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.home import expanded
from keras_twa.tasks import own_notes
from keras_twa.tasks import presets
from keras_twa.tasks import series
from keras_twa.tasks.array_file import read_arrays
from keras_twa.tasks.own_data import OwnSeries
from keras_twa.tasks.own_data import OwnTokens
from keras_twa.tasks.series_rows import SeriesRows
from keras_twa.tasks.series_table import read_table
from keras_twa.tasks.series_times import relative_times
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.settings import check_choice
from keras_twa.tasks.splits import stratified_split
from keras_twa.tasks.table_file import SUFFIXES
from keras_twa.tasks.target_kind import CLASSIFICATION
from keras_twa.tasks.target_kind import KINDS
from keras_twa.tasks.target_kind import REGRESSION
from keras_twa.tasks.target_kind import kind_of
from keras_twa.tasks.target_kind import labels_of
from keras_twa.tasks.task import Progress
from keras_twa.tasks.token_classifier import MAJORITY
from keras_twa.tasks.token_classifier import majority
from keras_twa.tasks.token_classifier import token_classification
from keras_twa.tasks.token_rows import TokenRows

ARRAYS = ".npz"
ENDS = (*SUFFIXES, ARRAYS)
# The task's own settings: names of columns of a table, and the unit of time.
COLUMNS = ("series", "time", "target", "features")
OPTIONS: dict[str, Any] = {**dict.fromkeys(COLUMNS), "time_unit": None}


def is_own_file(data: str) -> bool:
    """Returns whether a path ends as that of a table or of arrays does."""
    return data.lower().endswith(ENDS)


def label_of(data: str) -> str:
    """Returns the name of a file without its end, for the name of a folder."""
    name = _absolute(data).name
    end = max((end for end in ENDS if name.lower().endswith(end)), key=len)
    return re.sub(r"[^\w.-]+", "-", name[: -len(end)]) or "file"


def task_of(data: str, options: Mapping[str, Any], kind: str | None = None) -> str:
    """Returns the name of the task that fits a file.

    Args:
        data: The path.
        options: Those of `OPTIONS` that are not `None`.
        kind: "classification" or "regression". By default, the targets decide.

    Raises:
        ValueError: If the file is missing or malformed.
    """
    if kind is not None:
        check_choice("kind", kind, KINDS)
    found = _read(data, options, kind)
    kind = kind or kind_of(found.targets)[0]
    if isinstance(found, OwnTokens):
        if kind == REGRESSION:
            raise ValueError(
                f"{found.place}: tokens (integers `x` of shape (N, T)) are for "
                "classification: convert `x` to floats if it has numbers. "
                f"Received: {kind} of {found.targets.dtype}"
            )
        return TOKEN_CLASSIFICATION.name
    task = SERIES_CLASSIFICATION if kind == CLASSIFICATION else SERIES_REGRESSION
    return task.name


def load_series_classes(
    data: str, settings: Settings, progress: Progress | None = None
) -> SeriesRows:
    """Returns the rows of a task that classifies series.

    Args:
        data: The path of a table or of arrays.
        settings: The `Settings`, whose `options` are `OPTIONS`.
        progress: Not called.

    Raises:
        ValueError: If the file is missing or malformed.
    """
    found = _series(data, settings, CLASSIFICATION)
    labels, classes = labels_of(found.targets)
    return _series_rows(found, labels, classes, data, settings)


def load_series_numbers(
    data: str, settings: Settings, progress: Progress | None = None
) -> SeriesRows:
    """Returns the rows of a task that predicts a number for each series.

    Its arguments and errors are those of `load_series_classes`.
    """
    found = _series(data, settings, REGRESSION)
    return _series_rows(found, found.targets, None, data, settings)


def load_tokens(
    data: str, settings: Settings, progress: Progress | None = None
) -> TokenRows:
    """Returns the rows of a task that classifies sequences of tokens.

    Its arguments and errors are those of `load_series_classes`.
    """
    found = _read(data, settings.options, CLASSIFICATION)
    if not isinstance(found, OwnTokens):
        raise ValueError(
            "This task needs tokens: integers `x` of shape (N, T) in an .npz file. "
            f"Received: data={data!r}"
        )
    _check_no_unit(settings)
    labels, classes = labels_of(found.targets)
    limit, lengths = settings.max_length, found.sequences.lengths
    note = [
        own_notes.about_lengths("sequences of tokens", lengths),
        own_notes.about_targets(found, CLASSIFICATION, classes),
        own_notes.about_splits(found, settings.data_seed, classes),
    ]
    if lengths.max() > limit:
        count = int((lengths > limit).sum())
        note.append(f"{count:,} are cut after {limit:,} tokens (--max-length).")
    sequences = found.sequences.truncated(limit)
    return TokenRows(
        splits={
            name: (sequences.take(rows), labels[rows])
            for name, rows in _splits(found, labels, classes, settings).items()
        },
        vocabulary_size=int(sequences.tokens.max()) + 1,
        num_classes=len(classes),
        source=_source(data),
        data=str(_absolute(data)),
        max_buckets=settings.max_buckets,
        symbols=lambda tokens: [str(token) for token in tokens],
        note=" ".join(note),
    )


def _read(
    data: str, options: Mapping[str, Any], kind: str | None
) -> OwnSeries | OwnTokens:
    """Returns what a file contains."""
    path = expanded(data)
    if not is_own_file(data):
        raise ValueError(
            f"The file must end in {', '.join(ENDS)}. Received: data={data!r}"
        )
    if not path.is_file():
        raise ValueError(f"There is no such file. Received: data={data!r}")
    columns: dict[str, Any] = {name: options.get(name) for name in COLUMNS}
    if data.lower().endswith(ARRAYS):
        given = [name for name, value in columns.items() if value is not None]
        if given:
            raise ValueError(
                "An .npz file has no columns. "
                f"Received: {given[0]}={columns[given[0]]!r} for {data}"
            )
        return read_arrays(path, kind)
    if columns["series"] is None or columns["target"] is None:
        raise ValueError(
            "A table needs `series` and `target`, the names of the columns with the "
            "series of each row and with what to predict. Received: "
            f"series={columns['series']!r}, target={columns['target']!r} for {data}"
        )
    if not isinstance(columns["features"], list | None):
        # Results are JSON, which has no other sequence.
        raise ValueError(
            "`features` must be a list of names of columns. "
            f"Received: features={columns['features']!r}"
        )
    return read_table(path, **columns, kind=kind)


def _series(data: str, settings: Settings, kind: str) -> OwnSeries:
    """Returns the series of a file, with targets of a kind."""
    found = _read(data, settings.options, kind)
    if isinstance(found, OwnTokens):
        raise ValueError(
            "This task needs series. Integers `x` of shape (N, T) are tokens: convert "
            f"them to floats if they are numbers. Received: data={data!r}"
        )
    return found


def _series_rows(
    found: OwnSeries,
    targets: np.ndarray,
    classes: tuple[str, ...] | None,
    data: str,
    settings: Settings,
) -> SeriesRows:
    """Returns series as rows, with times in a unit, and a note on all of it."""
    splits = _splits(found, targets, classes, settings)
    unit = settings.options.get("time_unit")
    if not found.has_times:
        _check_no_unit(settings)
    # Numbers of steps are their own unit.
    times, named = relative_times(found.stamps, unit if found.has_times else 1)
    note = [
        own_notes.about_lengths("series", [len(each) for each in times]),
        *found.about,
        own_notes.about_targets(
            found, REGRESSION if classes is None else CLASSIFICATION, classes
        ),
        own_notes.about_times(found.has_times, named, unit is not None),
        own_notes.about_splits(found, settings.data_seed, classes),
    ]
    return SeriesRows.of(
        {
            name: (
                [found.values[row] for row in rows],
                [times[row] for row in rows],
                targets[rows],
            )
            for name, rows in splits.items()
        },
        classes,
        source=_source(data),
        data=str(_absolute(data)),
        note=" ".join(note),
    )


def _check_no_unit(settings: Settings) -> None:
    unit = settings.options.get("time_unit")
    if unit is not None:
        raise ValueError(
            "A unit of time needs times: the column `time`, or the array `times`. "
            f"Received: time_unit={unit!r}"
        )


def _splits(
    found: OwnSeries | OwnTokens,
    targets: np.ndarray,
    classes: Sequence[str] | None,
    settings: Settings,
) -> Mapping[str, np.ndarray]:
    """Returns the numbers of the rows of each split, which has all that it needs."""
    if len(np.unique(targets)) < 2:
        raise ValueError(
            f"{found.place}: there must be at least two different targets. "
            f"Received: {found.targets[0]} only, of {len(targets)} series"
        )
    if found.splits is None:
        if classes is None:
            same = np.zeros(len(targets), "int64")
            return stratified_split(same, settings.data_seed, found.place)
        return stratified_split(targets, settings.data_seed, found.place, classes)
    if classes is not None:
        known = targets[found.splits["train"]]
        unknown = ~np.isin(targets, known)
        if unknown.any():
            raise ValueError(
                f"{found.place}: each class must be among the training rows. "
                f"Received: class {classes[targets[np.argmax(unknown)]]!r} elsewhere"
            )
    return found.splits


def _absolute(data: str) -> Path:
    """Returns a path that means the same in another folder."""
    return Path(os.path.abspath(expanded(data)))


def _source(data: str) -> str:
    return f"file {_absolute(data).name}"


def _note(rows: SeriesRows | TokenRows, settings: Settings) -> str:
    return rows.note


_UNIT_CAVEAT = (
    "Mechanisms that use times depend on their unit: a ranking holds for this one."
)
# What the three tasks have in common.
_SHARED: dict[str, Any] = {"note": _note, "options": OPTIONS, "published": False}
_SERIES: dict[str, Any] = {
    **_SHARED,
    "caveats": (_UNIT_CAVEAT,),
    "presets": {"quick": Settings(**series.QUICK, options=OPTIONS)},
}

SERIES_CLASSIFICATION = series.series_classification(
    name="series_classification",
    title="classes of series",
    load=load_series_classes,
    **_SERIES,
)
SERIES_REGRESSION = series.series_regression(
    name="series_regression",
    title="numbers of series",
    load=load_series_numbers,
    **_SERIES,
)
TOKEN_CLASSIFICATION = token_classification(
    name="token_classification",
    title="classes of tokens",
    load=load_tokens,
    baselines=majority,
    explanations=MAJORITY,
    used=(*series.USED, "max_length", "max_buckets", "positions", "pooling"),
    **_SHARED
    | {
        "presets": {
            "quick": Settings(
                **presets.QUICK
                | {
                    "num_train": None,
                    "num_validation": None,
                    "num_test": None,
                    "batch_size": 32,
                    "warmup_steps": 0,
                    "patience": 20,
                },
                options=OPTIONS,
            )
        }
    },
)
