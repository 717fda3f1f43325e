"""The columns of a CSV or TSV file, with the number of each line."""

import csv
import gzip
import itertools
import sys
import zlib
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.tasks.target_kind import number

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
# Rows that are converted at once.
_BLOCK = 10_000


@dataclass(frozen=True)
class Table:
    """Some columns of a file.

    Args:
        path: The file, for errors.
        lines: The first line of each row, from 1.
        texts: The cells of each column that is kept as text.
        numbers: The numbers of each other column, NaN for cells that are none.
        wrong: The row and the text of the first such cell of each column that has one.
    """

    path: Path
    lines: np.ndarray
    texts: dict[str, list[str]]
    numbers: dict[str, np.ndarray]
    wrong: dict[str, tuple[int, str]]

    def error(self, row: int, column: str, must: str, text: str) -> ValueError:
        """Returns the error for a cell that is not what it must be."""
        return ValueError(
            f"{self.path}, line {self.lines[row]}, column {column!r}: {must}. "
            f"Received: {text!r}"
        )


def header_of(path: Path) -> tuple[int, list[str]]:
    """Returns the line of the header, and the names of the columns.

    Raises:
        ValueError: If the file is empty or malformed.
    """
    found = next(_rows(path), None)
    if found is None:
        raise ValueError(f"The file is empty. Received: {path}")
    return found


def read_columns(
    path: Path, header: list[str], texts: Sequence[str], numbers: Sequence[str]
) -> Table:
    """Returns columns of a file.

    Args:
        path: A file that ends in one of `SUFFIXES`, in UTF-8, whose first row is a
            header.
        header: The names of its columns.
        texts: The columns to keep as text.
        numbers: The columns to convert to numbers.

    Raises:
        ValueError: If a row is malformed or has another number of cells than the
            header, or there is none, or the file is not UTF-8 or a damaged archive.
    """
    lines: list[int] = []
    kept: dict[str, list[str]] = {name: [] for name in texts}
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in numbers}
    wrong: dict[str, tuple[int, str]] = {}
    rows = itertools.islice(_rows(path), 1, None)
    while block := list(itertools.islice(rows, _BLOCK)):
        cells_of = zip(*(row for _, row in block), strict=True)
        columns = dict(zip(header, cells_of, strict=True))
        for name, cells in kept.items():
            # Most of them are the same as others.
            cells += map(sys.intern, columns[name])
        for name, parts in blocks.items():
            parts.append(np.array([number(text) for text in columns[name]]))
            missing = np.isnan(parts[-1])
            if name not in wrong and missing.any():
                first = int(np.argmax(missing))
                wrong[name] = len(lines) + first, columns[name][first]
        lines += (line for line, _ in block)
    if not lines:
        raise ValueError(f"The table has no rows below its header. Received: {path}")
    arrays = {name: np.concatenate(parts) for name, parts in blocks.items()}
    return Table(path, np.array(lines), kept, arrays, wrong)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the first line and the cells of each row, the header first.

    Lines are those of the file, of which a quoted cell may have several. Empty ones are
    skipped. Cells have no spaces around them.
    """
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    line, width = 1, 0
    try:
        with _opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                width = width or len(cells)
                if cells and len(cells) != width:
                    raise ValueError(
                        f"{path}, line {line}: each row must have as many cells as the "
                        f"header, {width}. Received: {len(cells)} cells"
                    )
                if cells:
                    yield line, [cell.strip() for cell in cells]
                line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {line}: the row is malformed. Received: {error}"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line {_undecodable(path)}: the file must be UTF-8. "
            f"Received: {error.reason}"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"The archive is damaged ({error}). Received: {path}"
        ) from None


def _opened(path: Path, mode: str, **options: Any) -> Any:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, mode, **options)
    return path.open(mode, **options)


def _undecodable(path: Path) -> int:
    """Returns the number of the first line that is not UTF-8."""
    with _opened(path, "rb") as file:
        for line, text in enumerate(file, start=1):
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                return line
    return 1
