"""Series in a table with one row for each observation."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

import numpy as np

from keras_twa.suggestions import close_names
from keras_twa.tasks.own_data import OwnSeries
from keras_twa.tasks.table_file import rows_of
from keras_twa.tasks.target_kind import CLASSIFICATION
from keras_twa.tasks.target_kind import number

# Rows that are converted at once.
_BLOCK = 10_000
# What is said of cells that must be numbers.
_NUMBER = "a finite number"
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
    rows = rows_of(path)
    line, header = next(rows, (1, []))
    if not header:
        raise ValueError(f"The file is empty. Received: {path}")
    special = _special(path, line, header, series, target, time)
    wanted = _candidates(path, line, header, [*special.values()], features)
    table = _Table(path, header, special, wanted)
    while block := list(itertools.islice(rows, _BLOCK)):
        table.add(block)
    if not table.targets:
        raise ValueError(f"The table has no rows below its header. Received: {path}")
    return table.series(kind, all_numbers=features is not None)


def _special(
    path: Path, line: int, header: list[str], series: str, target: str, time: str | None
) -> dict[str, str]:
    """Returns the columns that are no features, by their role."""
    named = {"series": series, "target": target, "time": time}
    found = {role: name for role, name in named.items() if name is not None}
    _check_there(path, line, header, list(found.values()))
    if len(set(found.values())) < len(found):
        raise ValueError(
            f"{path}: series, time and target must be different columns. "
            f"Received: {', '.join(f'{role}={name!r}' for role, name in found.items())}"
        )
    return found


def _candidates(
    path: Path,
    line: int,
    header: list[str],
    taken: list[str],
    features: Sequence[str] | None,
) -> list[str]:
    """Returns the columns that may be features."""
    if features is None:
        # Those without a name are numbers of rows, as pandas writes them.
        found = [name for name in header if name and name not in taken]
        _check_there(path, line, header, found)
        return found
    _check_there(path, line, header, features)
    both = [name for name in features if name in taken]
    if both or not features or len(set(features)) < len(features):
        raise ValueError(
            f"{path}: features must be different columns, and none of series, time and "
            f"target. Received: features={list(features)}"
        )
    return list(features)


def _check_there(
    path: Path, line: int, header: list[str], names: Sequence[str]
) -> None:
    """Raises `ValueError` unless there is one column of each name."""
    for name in names:
        count = header.count(name)
        if count > 1:
            raise ValueError(
                f"{path}, line {line}: {count} columns have one name. "
                f"Received: column {name!r}"
            )
        if not count:
            close = close_names(name, header, 3)
            hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
            raise ValueError(
                f"{path}, line {line}: there is no such column. {hint}"
                f"Its columns are {_listed(header)}. Received: column {name!r}"
            )


@dataclass
class _Column:
    """A column that may be a feature, or time stamps.

    Args:
        blocks: Its numbers, NaN for other cells.
        wrong: Line and text of the first cell that is no number.
    """

    blocks: list[np.ndarray] = field(default_factory=list)
    any_number: bool = False
    wrong: tuple[int, str] | None = None

    def add(self, lines: Sequence[int], texts: Sequence[str]) -> None:
        """Adds the cells of some rows."""
        found = np.array([number(text) for text in texts])
        right = np.isfinite(found)
        self.blocks.append(found)
        self.any_number = self.any_number or bool(right.any())
        if self.wrong is None and not right.all():
            first = int(np.argmin(right))
            self.wrong = lines[first], texts[first]


class _Table:
    """A table as far as it is read.

    Args:
        path: The file, for errors.
        header: The names of its columns.
        special: The columns that are no features, by their role.
        candidates: The columns that may be features.
    """

    def __init__(
        self,
        path: Path,
        header: list[str],
        special: dict[str, str],
        candidates: list[str],
    ) -> None:
        self.path = path
        self.special = special
        self.places = {name: header.index(name) for name in (*special.values(),)}
        self.columns = {name: _Column() for name in candidates}
        self.places |= {name: header.index(name) for name in candidates}
        self.unnamed = header.count("")
        self.times = _Column()
        self.time_texts: list[str] = []
        # The number of each series by its name, and its first line and target.
        self.numbers: dict[str, int] = {}
        self.targets: list[tuple[int, str]] = []
        # The number of the series, and the line, of each row.
        self.rows: list[np.ndarray] = []
        self.lines: list[np.ndarray] = []

    def add(self, block: list[tuple[int, list[str]]]) -> None:
        """Adds some rows."""
        lines = [line for line, _ in block]
        cells = list(zip(*(row for _, row in block), strict=True))
        for name, column in self.columns.items():
            column.add(lines, cells[self.places[name]])
        if "time" in self.special:
            texts = cells[self.places[self.special["time"]]]
            self.times.add(lines, texts)
            self.time_texts += texts
        self._add_series(
            lines,
            cells[self.places[self.special["series"]]],
            cells[self.places[self.special["target"]]],
        )

    def _add_series(
        self, lines: list[int], names: Sequence[str], targets: Sequence[str]
    ) -> None:
        """Adds the names and targets of the series of some rows."""
        found = np.empty(len(lines), "int64")
        for row, (line, name, target) in enumerate(
            zip(lines, names, targets, strict=True)
        ):
            if not name:
                raise self._error(line, self.special["series"], "a name", name)
            found[row] = self.numbers.setdefault(name, len(self.numbers))
            if found[row] == len(self.targets):
                self.targets.append((line, target))
            first_line, first = self.targets[found[row]]
            if target != first and number(target) != number(first):
                raise ValueError(
                    f"{self.path}, line {line}, column {self.special['target']!r}: the "
                    "target must be the same in all rows of a series. The series "
                    f"{name!r} has {first!r} in line {first_line}. Received: {target!r}"
                )
        self.rows.append(found)
        self.lines.append(np.array(lines))

    def series(self, kind: str | None, all_numbers: bool) -> OwnSeries:
        """Returns the series of all rows.

        Args:
            kind: "classification" or "regression", or `None`.
            all_numbers: Whether each candidate must be a feature.
        """
        targets = self._targets(kind)
        features = [
            name
            for name, column in self.columns.items()
            if column.any_number or all_numbers
        ]
        for name in features:
            wrong = self.columns[name].wrong
            if wrong is not None:
                raise self._error(wrong[0], name, _NUMBER, wrong[1])
        left_out = [name for name in self.columns if name not in features]
        if not features:
            raise ValueError(
                f"{self.path}: there must be at least one column of features, which "
                f"contains numbers. Received: {_listed(left_out) or 'no other column'}"
            )
        rows = np.concatenate(self.rows)
        # The rows of each series together, in the order of the file.
        order = np.argsort(rows, kind="stable")
        ends = np.cumsum(np.bincount(rows))[:-1]
        values = np.column_stack(
            [np.concatenate(self.columns[name].blocks) for name in features]
        )
        if "time" in self.special:
            stamps = self._stamps()
            self._check_rising(stamps[order], rows[order], order)
            by_series = np.split(stamps[order], ends)
        else:
            lengths = np.bincount(rows)
            by_series = [np.arange(float(length)) for length in lengths]
        return OwnSeries(
            values=np.split(values[order], ends),
            stamps=by_series,
            has_times="time" in self.special,
            targets=targets,
            place=f"{self.path}, column {self.special['target']!r}",
            target=self.special["target"],
            about=self._about(features, left_out),
        )

    def _targets(self, kind: str | None) -> np.ndarray:
        """Returns the targets: numbers if all are, or else texts."""
        column = self.special["target"]
        texts = [text for _, text in self.targets]
        for line, text in self.targets:
            if not text or text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
                raise self._error(line, column, "a class or a finite number", text)
        found = np.array([number(text) for text in texts])
        wrong = np.isnan(found)
        if not wrong.any():
            return found
        if kind == CLASSIFICATION or (kind is None and wrong.all()):
            return np.array(texts)
        line, text = self.targets[int(np.argmax(wrong))]
        wanted = "a finite number in a regression"
        if kind is None:
            wanted = (
                f"{_NUMBER}, as others are (or else ask for the kind {CLASSIFICATION})"
            )
        raise self._error(line, column, wanted, text)

    def _stamps(self) -> np.ndarray:
        """Returns the time stamps, float64 or datetime64, in the order of the file."""
        if not self.times.any_number:
            return self._dates()
        if self.times.wrong is not None:
            line, text = self.times.wrong
            wanted = f"{_NUMBER}, as others are"
            raise self._error(line, self.special["time"], wanted, text)
        return np.concatenate(self.times.blocks)

    def _dates(self) -> np.ndarray:
        from keras_twa.tasks.date_texts import dates_of

        found = dates_of(self.time_texts)
        missing = np.isnat(found)
        if missing.any():
            row = int(np.argmax(missing))
            raise self._error(
                int(np.concatenate(self.lines)[row]),
                self.special["time"],
                "a number, or a date such as 2026-01-31 or 2026-01-31 13:45",
                self.time_texts[row],
            )
        return found

    def _check_rising(
        self, stamps: np.ndarray, rows: np.ndarray, order: np.ndarray
    ) -> None:
        """Raises `ValueError` if a time stamp is before the one above it."""
        falls = (stamps[1:] < stamps[:-1]) & (rows[1:] == rows[:-1])
        if not falls.any():
            return
        lines = np.concatenate(self.lines)
        place = min(np.flatnonzero(falls), key=lambda place: order[place + 1])
        before, here = order[place], order[place + 1]
        name = list(self.numbers)[rows[place]]
        raise ValueError(
            f"{self.path}, line {lines[here]}, column {self.special['time']!r}: time "
            "stamps must not fall along a series: sort its rows. The series "
            f"{name!r} has {self.time_texts[before]!r} in line {lines[before]}. "
            f"Received: {self.time_texts[here]!r}"
        )

    def _about(self, features: list[str], left_out: list[str]) -> tuple[str, ...]:
        """Returns sentences on the features."""
        found = [f"Features: {_listed(features)}."]
        if left_out:
            found.append(
                f"Left out, because they contain no number: {_listed(left_out)}."
            )
        if self.unnamed:
            found.append("Left out: what has no name in the header.")
        return tuple(found)

    def _error(self, line: int, column: str, wanted: str, text: str) -> ValueError:
        """Returns the error for a cell that is not what it must be."""
        return ValueError(
            f"{self.path}, line {line}, column {column!r}: each cell must be {wanted}. "
            f"Received: {text!r}"
        )


def _listed(names: Sequence[str]) -> str:
    """Returns the first names in quotation marks, and how many more there are."""
    found = [repr(name) for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        found.append(f"{len(names) - _MOST_NAMES} more")
    return ", ".join(found)
