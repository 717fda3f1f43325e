"""The figures of the report of a matrix."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_twa.experiments.document import Figure
from keras_twa.experiments.drawing import axes_grid
from keras_twa.experiments.drawing import drawn
from keras_twa.figure import LooseFigure
from keras_twa.probing.cells import IMPROVING
from keras_twa.probing.cells import Cell

if TYPE_CHECKING:
    from keras_twa.probing.matrix import CapabilityMatrix

COLUMNS = 3
MISSING_COLOUR = "#e3e7ec"


def heat_map(matrix: "CapabilityMatrix") -> Figure:
    """Colours from chance to perfect, mechanisms by probes."""
    table = matrix.table.to_numpy()
    rows, columns = table.shape
    # Room for the names beside, for the numbers, and for slanted titles above.
    beside = 0.09 * max(map(len, matrix.attentions))
    figure = LooseFigure(figsize=(beside + 0.8 * columns + 1.8, 1.9 + 0.36 * rows))
    axes: Any = figure.subplots()
    axes.set_facecolor(MISSING_COLOUR)
    image = axes.imshow(
        np.ma.masked_invalid(table), cmap="viridis", vmin=0, vmax=1, aspect="auto"
    )
    for row, attention in enumerate(matrix.attentions):
        for column, name in enumerate(matrix.probes):
            cell = matrix.cells[name][attention]
            score = cell.score
            text = cell.text if score is None else f"{score.mean:.2f}"
            if score is not None and cell.improving:
                text += IMPROVING
            light = score is not None and score.mean < 0.6
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if light else "#1c2430",
            )
    titles = [_title(matrix, name) for name in matrix.probes]
    axes.set_xticks(range(columns), titles, rotation=30, ha="left")
    axes.xaxis.tick_top()
    axes.set_yticks(range(rows), matrix.attentions)
    for label in axes.get_yticklabels():
        label.set_color(matrix.colours[label.get_text()])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    return drawn(
        figure,
        "matrix",
        "Test scores, from 0 (the best guess) to 1 (perfect), means over seeds. "
        f"{IMPROVING} The budget ended before a plateau. Grey: no score.",
    )


def learning_curves(matrix: "CapabilityMatrix") -> Figure | None:
    """Validation scores against updates, a panel for each probe."""

    def draw(axes: Any, cell: Cell, tint: str) -> None:
        for index, run in enumerate(cell.runs):
            updates = [cell.updates * point["epoch"] for point in run.curve]
            scores = [
                cell.probe.normalized(run.validation(point), cell.settings)
                for point in run.curve
            ]
            axes.plot(
                updates,
                scores,
                color=tint,
                alpha=1.0 if index == 0 else 0.4,
                linewidth=1.6 if index == 0 else 1.0,
                marker="o",
                markersize=2.5,
                label=cell.attention if index == 0 else None,
            )

    names = [name for name in matrix.probes if _has_runs(matrix, name)]
    return _panels(
        matrix,
        names,
        draw,
        "updates",
        "learning",
        "Validation scores against updates, from 0 (the best guess) to 1 (perfect), "
        "with the chosen learning rate: a line for each seed.",
    )


def length_curves(matrix: "CapabilityMatrix") -> Figure | None:
    """Test scores against the length of rows, of probes with several lengths."""

    def draw(axes: Any, cell: Cell, tint: str) -> None:
        found = cell.at_lengths
        if not found:
            return
        means = [score.mean for score in found.values()]
        axes.plot(
            [*found],
            means,
            color=tint,
            marker="o",
            markersize=3,
            linewidth=1.6,
            label=cell.attention,
        )
        for seed in zip(*(score.values for score in found.values()), strict=True):
            axes.plot([*found], seed, color=tint, linewidth=0.8, alpha=0.4)
        axes.set_xscale("log", base=2)
        axes.set_xticks([*found], [f"×{n}" for n in found])

    names = [
        name
        for name in matrix.probes
        if len(_first(matrix, name).probe.test_lengths) > 1 and _has_runs(matrix, name)
    ]
    return _panels(
        matrix,
        names,
        draw,
        "length of test rows, relative to training",
        "lengths",
        "Test scores against the length of rows, from 0 (the best guess) to 1 "
        "(perfect): means, and a thin line for each seed.",
    )


def _panels(
    matrix: "CapabilityMatrix",
    names: Sequence[str],
    draw: Callable[[Any, Cell, str], None],
    label: str,
    name: str,
    caption: str,
) -> Figure | None:
    """A panel for each probe, with what is drawn of each mechanism."""
    if not names:
        return None
    rows = -(-len(names) // COLUMNS)
    figure, grid = axes_grid(rows, COLUMNS, height=1.2 + 2.4 * rows)
    panels = list(grid.flat)
    for axes, probe in zip(panels, names, strict=False):
        axes.set_title(_title(matrix, probe))
        axes.set_ylim(-0.04, 1.04)
        axes.grid(axis="y")
        for attention, cell in matrix.cells[probe].items():
            draw(axes, cell, matrix.colours[attention])
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes in panels[: len(names)][-COLUMNS:]:
        axes.set_xlabel(label)
    shown: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(
        [*shown.values()], [*shown], loc="outside upper left", ncols=3, frameon=False
    )
    return drawn(figure, name, caption)


def _first(matrix: "CapabilityMatrix", name: str) -> Cell:
    return matrix.cells[name][matrix.attentions[0]]


def _title(matrix: "CapabilityMatrix", name: str) -> str:
    return str(_first(matrix, name).probe.title)


def _has_runs(matrix: "CapabilityMatrix", name: str) -> bool:
    return any(cell.runs for cell in matrix.cells[name].values())
