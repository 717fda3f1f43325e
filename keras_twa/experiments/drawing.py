"""Shared by the drawings of a report: rows of axes, and files."""

import io
from collections.abc import Sequence
from typing import Any

from keras_twa.experiments.document import Figure
from keras_twa.experiments.summary import MechanismRuns
from keras_twa.figure import LooseFigure

WIDTH = 9.0


def axes_grid(
    rows: int, columns: int, height: float, **options: Any
) -> tuple[Any, Any]:
    """Returns a wide figure and its axes, an array `(rows, columns)`.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        height: Height of the figure in inches.
        **options: As of `matplotlib.figure.Figure.subplots`.
    """
    figure = LooseFigure(figsize=(WIDTH * 1.25, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def row_axes(count: float) -> tuple[Any, Any]:
    """Returns a figure and its axes, high enough for so many rows."""
    figure = LooseFigure(figsize=(WIDTH, 0.9 + 0.55 * count))
    return figure, figure.subplots()


def name_rows(axes: Any, mechanisms: Sequence[MechanismRuns]) -> None:
    axes.set_yticks(range(len(mechanisms)), [m.label for m in mechanisms])
    for label, mechanism in zip(axes.get_yticklabels(), mechanisms, strict=True):
        label.set_color(mechanism.colour)
    axes.tick_params(axis="y", length=0)


def drawn(figure: Any, name: str, caption: str) -> Figure:
    """Returns a figure as files."""
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", bbox_inches="tight", metadata={"Date": None})
    figure.savefig(png, format="png", bbox_inches="tight", dpi=130)
    return Figure(name, svg.getvalue(), png.getvalue(), caption)
