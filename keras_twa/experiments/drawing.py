"""What the drawings of a report share: rows of axes, files."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from keras_twa.experiments.document import Figure
from keras_twa.experiments.summary import Mechanism
from keras_twa.style import STYLE

WIDTH = 9.0


def row_axes(count: float) -> tuple[Any, Any]:
    """Returns a figure and its axes, high enough for so many rows."""
    with pyplot.rc_context(STYLE):
        return pyplot.subplots(figsize=(WIDTH, 0.9 + 0.55 * count))


def name_rows(axes: Any, mechanisms: Sequence[Mechanism]) -> None:
    axes.set_yticks(range(len(mechanisms)), [m.label for m in mechanisms])
    for label, mechanism in zip(axes.get_yticklabels(), mechanisms, strict=True):
        label.set_color(mechanism.colour)
    axes.tick_params(axis="y", length=0)


def drawn(figure: Any, name: str, caption: str) -> Figure:
    """Returns a figure as files, and lets go of it."""
    with pyplot.rc_context(STYLE):
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", bbox_inches="tight", metadata={"Date": None})
        figure.savefig(png, format="png", bbox_inches="tight", dpi=130)
    pyplot.close(figure)
    return Figure(name, svg.getvalue(), png.getvalue(), caption)
