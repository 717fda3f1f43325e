"""A matrix as text for terminals, and as HTML for notebooks."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.console import RenderableType
from rich.text import Text

from keras_twa.experiments.document import Block
from keras_twa.experiments.document import block_html
from keras_twa.experiments.fitted_table import LONGEST_NAME
from keras_twa.experiments.fitted_table import FittedTable
from keras_twa.figure import house_style
from keras_twa.probing import figures
from keras_twa.probing import tables

if TYPE_CHECKING:
    from keras_twa.probing.matrix import CapabilityMatrix

WIDTH = 100
# Of a column with a score and its interval.
COLUMN = 14


def printed(matrix: "CapabilityMatrix", width: int) -> Iterator[RenderableType]:
    """Yields tables with as many probes each as fit into a width, and then notes."""
    beside = min(LONGEST_NAME, max(map(len, matrix.attentions)))
    count = max(1, (width - beside - 2) // COLUMN)
    for start in range(0, len(matrix.probes), count):
        names = matrix.probes[start : start + count]
        titles = [
            matrix.cells[name][matrix.attentions[0]].probe.title for name in names
        ]
        table = FittedTable(
            ["mechanism", *titles],
            "mechanism",
            needed=titles,
            wraps=dict.fromkeys(titles, COLUMN - 1),
        )
        for attention in matrix.attentions:
            cells = [matrix.cells[name][attention].text for name in names]
            table.add_row(attention, *cells)
        yield table
    for note in tables.notes(matrix):
        yield Text(note)


def as_text(matrix: "CapabilityMatrix") -> str:
    """Returns the tables of a matrix for a terminal."""
    text = io.StringIO()
    # In a notebook, rich would show them besides.
    console = Console(file=text, width=WIDTH, color_system=None, force_jupyter=False)
    for part in printed(matrix, WIDTH):
        console.print(part, soft_wrap=isinstance(part, Text))
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())


@house_style()
def as_html(matrix: "CapabilityMatrix") -> str:
    """Returns the table and the heat map of a matrix as a part of an HTML page."""
    blocks: list[Block] = [tables.matrix_table(matrix), *tables.note_blocks(matrix)]
    blocks.append(figures.heat_map(matrix))
    return f"<div>{''.join(map(block_html, blocks))}</div>"
