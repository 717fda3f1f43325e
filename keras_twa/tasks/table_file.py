"""The cells of a CSV or TSV file, with the number of each line."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


def rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the cells of each row, without spaces around them, the header first.

    With each comes the number of its first line, from 1. It counts lines of the file,
    of which a quoted cell may have several. Empty lines are skipped.

    Args:
        path: A file that ends in one of `SUFFIXES`, in UTF-8.

    Raises:
        ValueError: If a row is malformed or has another number of cells than the
            header, or the file is not UTF-8 or a damaged archive.
    """
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    line, width = 1, 0
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
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


def opened(path: Path, mode: str, **options: Any) -> Any:
    """Opens a file, which may be compressed by gzip."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, mode, **options)
    return path.open(mode, **options)


def _undecodable(path: Path) -> int:
    """Returns the number of the first line that is not UTF-8."""
    with opened(path, "rb") as file:
        for line, text in enumerate(file, start=1):
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                return line
    return 1
