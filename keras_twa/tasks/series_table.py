"""Series in a table with one row for each observation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_twa.suggestions import did_you_mean
from keras_twa.tasks.own_data import OwnSeries
from keras_twa.tasks.table_file import Table
from keras_twa.tasks.table_file import header_of
from keras_twa.tasks.table_file import read_columns
from keras_twa.tasks.target_kind import CLASSIFICATION
from keras_twa.tasks.target_kind import number

# Most names in a sentence.
_MOST_NAMES = 10


def read_table(
    path: Path,
    series: str,
    target: str,
    time: str | None = None,
    features: Sequence[str] | None = None,
    kind: str | None = None,
) -> OwnSeries:
    """Returns the series of a table.

    Args:
        path: A CSV or TSV file with a header.
        series: The column with the name of the series of each row.
        target: The column to predict, which is the same in all rows of a series.
        time: The column of the time stamps, numbers or dates, which do not fall along a
            series. By default, rows are at times 0, 1, 2, … in the order of the file.
        features: The columns of features. Defaults to all others that contain numbers.
        kind: "classification" or "regression". By default, the targets decide.

    Raises:
        ValueError: If a column is missing or a cell malformed: with file, line and
            column.
    """
    line, header = header_of(path)
    place = f"{path}, line {line}"
    special = [name for name in (series, target, time) if name is not None]
    _check_columns(place, header, special, "series, time and target")
    if features is None:
        # A column without a name has the numbers of rows, as pandas writes them.
        wanted = [name for name in header if name and name not in special]
    else:
        wanted = list(features)
    _check_columns(place, header, [*special, *wanted], "features and the others")
    table = read_columns(path, header, special, wanted)
    numbers, names = _series_of_rows(table, series)
    used = _features(table, wanted, all_of_them=features is not None)
    # The rows of each series together, in the order of the file.
    order = np.argsort(numbers, kind="stable")
    lengths = np.bincount(numbers)
    ends = np.cumsum(lengths)[:-1]
    if time is None:
        stamps = [np.arange(float(length)) for length in lengths]
    else:
        found = _stamps(table, time)[order]
        _check_rising(table, time, found, names, numbers, order)
        stamps = np.split(found, ends)
    values = np.column_stack([table.numbers[name] for name in used])
    return OwnSeries(
        values=np.split(values[order], ends),
        stamps=stamps,
        has_times=time is not None,
        targets=_targets(table, target, names, numbers, kind),
        place=f"{path}, column {target!r}",
        target=target,
        about=_about(used, [name for name in wanted if name not in used], header),
    )


def _check_columns(
    place: str, header: list[str], names: Sequence[str], what: str
) -> None:
    """Raises `ValueError` unless these are different columns, and there is one of each.

    Args:
        place: The file and the line, for errors.
        header: The names of all columns.
        names: The names of some.
        what: What they are called in errors.
    """
    for name in names:
        if name not in header:
            hint = did_you_mean(name, header)
            raise ValueError(
                f"{place}: there is no such column. {hint}The columns are "
                f"{_listed(header)}. Received: column {name!r}"
            )
        if header.count(name) > 1:
            raise ValueError(
                f"{place}: several columns have this name. Received: column {name!r}"
            )
        if names.count(name) > 1:
            raise ValueError(
                f"{place}: {what} must be different columns. Received: {name!r} twice"
            )


def _series_of_rows(table: Table, series: str) -> tuple[np.ndarray, list[str]]:
    """Returns the number of the series of each row, and the names of the series."""
    known: dict[str, int] = {}
    found = []
    for row, name in enumerate(table.texts[series]):
        if not name:
            raise table.error(row, series, "each row must name its series", name)
        found.append(known.setdefault(name, len(known)))
    return np.array(found), list(known)


def _features(table: Table, wanted: list[str], all_of_them: bool) -> list[str]:
    """Returns the columns with numbers, in which each cell must be one."""
    found = [
        name for name in wanted if all_of_them or np.isfinite(table.numbers[name]).any()
    ]
    for name in found:
        if name in table.wrong:
            row, text = table.wrong[name]
            raise table.error(row, name, "a feature must be a finite number", text)
    if not found:
        raise ValueError(
            f"{table.path}: there must be a column of features, which contains "
            f"numbers. Received: {_listed(wanted) or 'no other column'}"
        )
    return found


def _targets(
    table: Table, target: str, names: list[str], numbers: np.ndarray, kind: str | None
) -> np.ndarray:
    """Returns the target of each series: numbers if all are, or else texts."""
    texts = table.texts[target]
    _, firsts = np.unique(numbers, return_index=True)
    for row, (text, series) in enumerate(zip(texts, numbers, strict=True)):
        first = texts[firsts[series]]
        if text != first and number(text) != number(first):
            raise table.error(
                row,
                target,
                "the target must be the same in all rows of a series. The series "
                f"{names[series]!r} has {first!r} in line "
                f"{table.lines[firsts[series]]}",
                text,
            )
    found = np.array([number(texts[row]) for row in firsts])
    wrong = np.isnan(found)
    for row in firsts[wrong]:
        if texts[row].lower().lstrip("+-") in ("", "nan", "inf", "infinity"):
            must = "a target must be a class or a finite number"
            raise table.error(row, target, must, texts[row])
    if not wrong.any():
        return found
    if kind == CLASSIFICATION or (kind is None and wrong.all()):
        return np.array([texts[row] for row in firsts])
    must = "the target of a regression must be a finite number"
    if kind is None:
        must = (
            "a target must be a finite number, as others are "
            f"(with the kind {CLASSIFICATION}, all are classes)"
        )
    row = firsts[np.argmax(wrong)]
    raise table.error(row, target, must, texts[row])


def _stamps(table: Table, time: str) -> np.ndarray:
    """Returns the time stamp of each row, float64 or datetime64."""
    texts = table.texts[time]
    found = np.array([number(text) for text in texts])
    wrong = np.isnan(found)
    must = "a time stamp must be a finite number, as others are"
    if wrong.all():
        from keras_twa.tasks.date_texts import dates_of

        found = dates_of(texts)
        wrong = np.isnat(found)
        must = "a time stamp must be a number, or a date such as 2026-01-31 13:45"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise table.error(row, time, must, texts[row])
    return found


def _check_rising(
    table: Table,
    time: str,
    stamps: np.ndarray,
    names: list[str],
    numbers: np.ndarray,
    order: np.ndarray,
) -> None:
    """Raises `ValueError` if the time stamps of a series fall.

    Args:
        table: The table.
        time: The column of the time stamps.
        stamps: The time stamps in `order`.
        names: The names of the series.
        numbers: The number of the series of each row.
        order: The rows of each series together.
    """
    same = numbers[order][1:] == numbers[order][:-1]
    falls = np.flatnonzero(same & (stamps[1:] < stamps[:-1]))
    if not len(falls):
        return
    place = falls[np.argmin(order[falls + 1])]
    before, row = order[place], order[place + 1]
    raise table.error(
        row,
        time,
        "time stamps must not fall along a series: sort its rows. The series "
        f"{names[numbers[row]]!r} has {table.texts[time][before]!r} in line "
        f"{table.lines[before]}",
        table.texts[time][row],
    )


def _about(used: list[str], others: list[str], header: list[str]) -> tuple[str, ...]:
    """Returns sentences on the features."""
    found = [f"Features: {_listed(used)}."]
    if others:
        found.append(f"Left out, because they contain no number: {_listed(others)}.")
    if "" in header:
        found.append("Left out: what has no name in the header.")
    return tuple(found)


def _listed(names: Sequence[str]) -> str:
    """Returns the first names in quotation marks, and how many more there are."""
    found = [repr(name) for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        found.append(f"{len(names) - _MOST_NAMES} more")
    return ", ".join(found)
