"""A table that keeps its most important columns in a narrow terminal."""

import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.console import ConsoleOptions
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from keras_twa.experiments.text import encodable

# Names have lines of at least this width, and get it before optional columns get any.
SHORTEST_NAME, LONGEST_NAME = 13, 31


class FittedTable:
    """A table for the terminal, whatever its width and encoding.

    All cells are printed as they are, brackets and all. Where there is no room for
    all columns, those that are needed stay and names are folded; others are left out,
    the last ones first, and named below the table.

    Args:
        headings: One for each column.
        names: The heading of the column of names, which always stays.
        needed: Headings of other columns that always stay.
        text: Headings of other columns of text. The rest are numbers, to the right.
        wraps: Headings of columns that may be wrapped, each with the width that it
            should have before columns that are not needed get any.
        width: Most columns of the terminal to use. Defaults to all.
    """

    def __init__(
        self,
        headings: Sequence[str],
        names: str,
        needed: Iterable[str] = (),
        text: Iterable[str] = (),
        wraps: Mapping[str, int] | None = None,
        width: int | None = None,
    ) -> None:
        self.headings = list(headings)
        self.names = names
        self.needed = {names, *needed}
        self.wraps = dict(wraps or {})
        self.text = {names, *text}
        self.width = width
        self._rows: list[tuple[list[Text], str]] = []

    def add_row(self, *cells: str | Text, style: str = "") -> None:
        """Adds a row; cells that are not given are empty."""
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        texts += [Text("")] * (len(self.headings) - len(texts))
        self._rows.append((texts, style))

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(self._rows)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yields the table, and the names of hidden columns."""
        room = min(options.max_width, self.width or options.max_width)
        names = self._names_width()

        def measured(table: Table) -> int:
            wide = options.update(width=10_000)
            return console.measure(table, options=wide).maximum

        def spare(shown: set[str], longest: int) -> int:
            widths = {**self.wraps, self.names: longest}
            return room - measured(self._table(shown, options.encoding, widths=widths))

        shown = set(self.needed)
        for heading in self.headings:
            if spare(shown | {heading}, LONGEST_NAME) >= 0:
                shown.add(heading)
        fold = max(SHORTEST_NAME, names + min(0, spare(shown, names)))
        table = self._table(shown, options.encoding, fold)
        table.width = min(room, measured(table))
        yield table
        left_out = [heading for heading in self.headings if heading not in shown]
        if left_out:
            yield Text(f"A wider terminal also shows: {', '.join(left_out)}.", "dim")

    def _names_width(self) -> int:
        """The longest line of the names."""
        column = self.headings.index(self.names)
        lines = [
            line for row, _ in self._rows for line in row[column].plain.split("\n")
        ]
        return max(map(cell_len, [self.names, *lines]))

    def _table(
        self,
        shown: set[str],
        encoding: str,
        fold: int | None = None,
        widths: Mapping[str, int] | None = None,
    ) -> Table:
        """The table with some of the columns.

        Args:
            shown: Their headings.
            encoding: That of the terminal.
            fold: Width of names.
            widths: Most of some columns, by heading.
        """
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for heading in self.headings:
            if heading in shown:
                table.add_column(
                    Text(heading),
                    justify="left" if heading in self.text else "right",
                    no_wrap=heading not in self.wraps,
                    overflow="fold",
                    max_width=(widths or {}).get(heading),
                )
        for row, style in self._rows:
            cells = []
            for heading, cell in zip(self.headings, row, strict=True):
                if heading in shown:
                    plain = encodable(cell.plain, encoding)
                    if fold is not None and heading == self.names:
                        plain = folded(plain, fold)
                    cells.append(Text(plain, cell.style))
            table.add_row(*cells, style=style)
        return table


def folded(text: str, width: int) -> str:
    """Returns text in lines of at most `width`, broken after `_`, `.` or a space."""
    lines = []
    for line in text.split("\n"):
        current = ""
        for piece in re.findall(r"[^_. ]*[_. ]*", line):
            if current.strip() and cell_len(current + piece) > width:
                lines.append(current)
                current = ""
            current += piece
            while cell_len(current) > width:
                lines.append(current[:width])
                current = current[width:]
        lines.append(current)
    return "\n".join(lines)
