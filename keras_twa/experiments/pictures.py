"""The radar plot and the attention maps of a report."""

import math
import textwrap
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.experiments.attention_maps import ATTENTION_MAPS
from keras_twa.experiments.document import Figure
from keras_twa.experiments.drawing import axes_grid
from keras_twa.experiments.drawing import drawn
from keras_twa.experiments.results import Result
from keras_twa.experiments.summary import MechanismRuns
from keras_twa.experiments.summary import Summary
from keras_twa.experiments.text import attention_text
from keras_twa.figure import LooseFigure
from keras_twa.style import draw_weights

# With more mechanisms, the lines would be hard to tell apart.
MOST_ON_RADAR = 8


def radar(summary: Summary) -> Figure | None:
    """A radar plot, with each axis relative to the best mechanism."""
    shown = [m for m in summary.mechanisms if m.completed]
    if not 2 <= len(shown) <= MOST_ON_RADAR:
        return None
    score = f"test {summary.metric.title}"
    axes_names = (score, "speed", "memory", "parameters", "fast to learn")
    values = {m.name: _radar_values(summary, m) for m in shown}
    table = np.array([values[m.name] for m in shown])
    if np.isnan(table).all(axis=0).any():
        return None
    scaled = np.nan_to_num(table / np.nanmax(table, axis=0))
    angles = np.linspace(0, 2 * math.pi, len(axes_names), endpoint=False)
    closed = np.append(angles, angles[0])
    figure = LooseFigure(figsize=(8.4, 4.8))
    axes: Any = figure.add_subplot(projection="polar")
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    for mechanism, row in zip(shown, scaled, strict=True):
        tint = mechanism.colour
        line = np.append(row, row[0])
        axes.plot(closed, line, color=tint, linewidth=1.8, label=mechanism.label)
        axes.fill(closed, line, color=tint, alpha=0.06)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], ["", "0.5", "", "1"], fontsize=8)
    axes.set_xticks(angles, axes_names)
    axes.tick_params(axis="x", pad=16)
    axes.legend(loc="center left", bbox_to_anchor=(1.25, 0.5), frameon=False)
    return drawn(
        figure,
        "radar",
        "Overview. On every axis, 1 (the rim) is the best mechanism here, and farther "
        "out is better. A score of which more is better is divided by the best one. "
        "For others and for costs (seconds per epoch, peak memory, parameters, seconds "
        "to 90 % of the own best score), the smallest is divided by the value.",
    )


def attention_maps(summary: Summary, folder: Path) -> Figure | None:
    """The attention weights of each mechanism in the same example."""
    found: list[tuple[MechanismRuns, dict[str, Any]]] = []
    for mechanism in summary.mechanisms:
        for run in mechanism.completed[:1]:
            maps = load_maps(folder, run)
            if maps:
                found.append((mechanism, maps))
    if not found:
        return None
    layers = [name for name in found[0][1] if name.startswith("layer")]
    layers = [layers[0], layers[-1]] if len(layers) > 1 else layers
    figure, grid = axes_grid(len(layers), len(found), height=0.7 + 2.15 * len(layers))
    for column, (mechanism, maps) in enumerate(found):
        for row, layer in enumerate(layers):
            axes = grid[row][column]
            weights = maps[layer].astype("float32").mean(axis=0)
            draw_weights(axes, weights)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(f"layer {int(layer.removeprefix('layer')) + 1}")
            if row == 0:
                title = "\n".join(textwrap.wrap(attention_text(mechanism.name), 18))
                axes.set_title(title, color=mechanism.colour, fontsize=10)
    return drawn(
        figure,
        "attention",
        "Attention weights in one validation example, means over heads. Rows are "
        "queries, columns are keys. Brighter cells have larger weights, with a "
        "separate scale for each map. Weights do not explain a decision.",
    )


def load_maps(folder: Path, run: Result) -> dict[str, Any]:
    """Returns the attention maps of a completed run by layer, empty without any.

    Raises:
        ValueError: If the file has no attention maps.
    """
    path = folder / run.experiment.name / ATTENTION_MAPS
    if run.status != "completed" or not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            maps = {name: file[name] for name in file.files}
        if "layer0" not in maps:
            raise ValueError("it has no layer0")
    except (
        OSError,
        EOFError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"Not the attention maps of a run ({error}); without the file, the report "
            f"has no picture of it. Received: {path}"
        ) from None
    return maps


def _radar_values(summary: Summary, mechanism: MechanismRuns) -> list[float]:
    def cheapness(found: Any) -> float:
        return 1 / found.mean if found is not None and found.mean > 0 else math.nan

    seconds = [summary.to_own_best(run) for run in mechanism.completed]
    learning = [value[1] for value in seconds if value is not None and value[1] > 0]
    score = mechanism.score
    more = summary.metric.higher_is_better
    return [
        (score.mean if score else math.nan) if more else cheapness(score),
        cheapness(mechanism.mean("seconds_per_epoch")),
        cheapness(mechanism.mean("model_memory")),
        cheapness(mechanism.mean("parameters")),
        1 / (sum(learning) / len(learning)) if learning else math.nan,
    ]
