"""What the drawings of a report share: colours, style, files."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from keras_twa.experiments.document import Figure
from keras_twa.experiments.summary import Mechanism

# Okabe and Ito's colours, which most colour-blind readers can tell apart.
COLOURS = {
    "dot_product": "#4d4d4d",
    "temporal_weighted": "#0072b2",
    "gravitational": "#d55e00",
    "multi_timescale": "#009e73",
    "gravitational_multi_timescale": "#cc79a7",
}
MORE_COLOURS = ("#e69f00", "#56b4e9", "#8c6d1f", "#7b5aa6", "#a6761d", "#1b6b6b")
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a94a0",
    "axes.labelcolor": "#1c2430",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#5d6875",
    "ytick.color": "#5d6875",
    "grid.color": "#e3e7ec",
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "keras_twa",
}
WIDTH = 9.0


def colour(name: str) -> str:
    """Returns the colour of a mechanism, the same in all figures and reports."""
    return COLOURS.get(name) or MORE_COLOURS[sum(name.encode()) % len(MORE_COLOURS)]


def row_axes(count: float) -> tuple[Any, Any]:
    """Returns a figure and its axes, high enough for so many rows."""
    with pyplot.rc_context(STYLE):
        return pyplot.subplots(figsize=(WIDTH, 0.9 + 0.55 * count))


def name_rows(axes: Any, mechanisms: Sequence[Mechanism]) -> None:
    axes.set_yticks(range(len(mechanisms)), [m.label for m in mechanisms])
    for label, mechanism in zip(axes.get_yticklabels(), mechanisms, strict=True):
        label.set_color(colour(mechanism.name))
    axes.tick_params(axis="y", length=0)


def drawn(figure: Any, name: str, caption: str) -> Figure:
    """Returns a figure as files, and lets go of it."""
    with pyplot.rc_context(STYLE):
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", bbox_inches="tight", metadata={"Date": None})
        figure.savefig(png, format="png", bbox_inches="tight", dpi=130)
    pyplot.close(figure)
    return Figure(name, svg.getvalue(), png.getvalue(), caption)
