"""The drawings of a report."""

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot

from keras_twa.experiments.document import Figure
from keras_twa.experiments.results import Result
from keras_twa.experiments.summary import Mechanism
from keras_twa.experiments.summary import Summary

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
BASELINE_COLOURS = ("#8a94a0", "#b8860b", "#7a5195")
WIDTH = 9.0


def colour(name: str) -> str:
    """Returns the colour of a mechanism, the same in all figures and reports."""
    return COLOURS.get(name) or MORE_COLOURS[sum(name.encode()) % len(MORE_COLOURS)]


def accuracy_bars(summary: Summary) -> Figure:
    """Bars of the test accuracy, a dot per seed, 95 % intervals, baselines."""
    shown = [m for m in summary.mechanisms if m.accuracy]
    figure, axes = _rows(len(shown) + 0.6)
    for row, mechanism in enumerate(shown):
        found = mechanism.accuracy
        assert found is not None
        values = 100 * np.array(found.values)
        axes.barh(row, values.mean(), 0.6, color=colour(mechanism.name), alpha=0.75)
        if found.half_width is not None:
            axes.errorbar(
                values.mean(),
                row,
                xerr=100 * found.half_width,
                color="#1c2430",
                capsize=4,
                linewidth=1.2,
            )
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [0.0]
        axes.scatter(
            values,
            row + np.asarray(spread),
            s=26,
            color="white",
            edgecolor="#1c2430",
            linewidth=1,
            zorder=3,
        )
        right = max(values.max(), values.mean() + 100 * (found.half_width or 0))
        axes.annotate(
            f"{values.mean():.1f}",
            (right, row),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
    baselines = sorted(summary.facts["baselines"].items(), key=lambda item: item[1])
    for index, (name, value) in enumerate(baselines):
        tint = BASELINE_COLOURS[index % len(BASELINE_COLOURS)]
        axes.axvline(100 * value, color=tint, linestyle="--", linewidth=1.3, zorder=0)
        axes.annotate(
            f"{name} {100 * value:.1f}",
            (100 * value, -0.62 - 0.32 * (index % 2)),
            xytext=(4, 0),
            textcoords="offset points",
            color=tint,
            fontsize=9,
            va="center",
        )
    axes.set_ylim(len(shown) - 0.45, -1.2)
    axes.margins(x=0.12)
    _name_rows(axes, shown)
    axes.set_xlabel("test accuracy (%)")
    seeds = max((len(m.accuracies) for m in shown), default=0)
    caption = "Test accuracy; a dot for each seed, dashed lines without attention. " + (
        "Whiskers: 95 % t interval over seeds."
        if seeds > 1
        else "One seed: there is no interval."
    )
    return _drawn(figure, "accuracy", caption)


def learning_curves(summary: Summary) -> Figure:
    """Validation accuracy against epochs and seconds, and losses."""
    with pyplot.rc_context(STYLE):
        figure, panels = pyplot.subplots(1, 3, figsize=(WIDTH * 1.25, 3.9))
    for mechanism in summary.mechanisms:
        tint = colour(mechanism.name)
        for index, run in enumerate(mechanism.trained):
            label = mechanism.label if index == 0 else None
            look = {
                "color": tint,
                "linewidth": 1.8,
                "alpha": 1.0 if index == 0 else 0.5,
            }
            if len(run.curve) == 1:
                look |= {"marker": "o"}
            else:
                look |= {"marker": "o", "markersize": 3}
            epochs, seconds, accuracy, loss, train = (
                [point[name] for point in run.curve]
                for name in (
                    "epoch",
                    "total_seconds",
                    "validation_accuracy",
                    "validation_loss",
                    "train_loss",
                )
            )
            percent = [100 * value for value in accuracy]
            panels[0].plot(epochs, percent, label=label, **look)
            panels[1].plot(seconds, percent, **look)
            panels[2].plot(epochs, loss, **look)
            panels[2].plot(epochs, train, **look | {"linestyle": ":", "marker": ""})
    for panel in panels[:2]:
        panel.axhline(100 * summary.chance, color="#8a94a0", linestyle="--", zorder=0)
        panel.set_ylabel("validation accuracy (%)")
        panel.grid(axis="y")
    panels[2].grid(axis="y")
    panels[2].set_ylabel("loss (dotted: training)")
    for panel in (panels[0], panels[2]):
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[1].set_xlabel("seconds of training, without compilation")
    panels[1].set_xlim(left=0)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=3,
        frameon=False,
    )
    return _drawn(
        figure,
        "learning",
        "Learning curves, a line for each seed. Dashed: the majority class.",
    )


def efficiency(summary: Summary) -> Figure:
    """Seconds of an epoch, seconds of compilation, and peak memory."""
    shown = [m for m in summary.mechanisms if m.completed]
    panels: Sequence[tuple[str, str, float]] = (
        ("seconds_per_epoch", "seconds per epoch", 1.0),
        ("compile_seconds", "seconds of compilation", 1.0),
        ("model_memory", "peak memory (MB)", 1e-6),
    )
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            1, 3, sharey=True, figsize=(WIDTH * 1.25, 1.0 + 0.5 * len(shown))
        )
    for panel, (name, title, unit) in zip(axes, panels, strict=True):
        for row, mechanism in enumerate(shown):
            found = mechanism.mean(name)
            if found is None:
                continue
            value = found.mean * unit
            panel.barh(row, value, 0.6, color=colour(mechanism.name), alpha=0.75)
            digits = 1 if value < 10 else 0
            panel.annotate(
                f"{value:,.{digits}f}",
                (value, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
        panel.margins(x=0.2)
        panel.set_title(title)
    axes[0].invert_yaxis()
    _name_rows(axes[0], shown)
    return _drawn(
        figure,
        "efficiency",
        "Time and memory, means over seeds: shorter is better. Each run had a "
        "process of its own.",
    )


def improvement(summary: Summary) -> Figure | None:
    """Relative improvement over the conventional mechanism, paired by seed."""
    found = [(m, summary.improvement(m)) for m in summary.mechanisms]
    shown = [(m, e) for m, e in found if e is not None]
    if not shown:
        return None
    figure, axes = _rows(len(shown))
    for row, (mechanism, each) in enumerate(shown):
        tint = colour(mechanism.name)
        width = each.half_width
        sure = width is not None and abs(each.mean) > width
        if width is not None:
            axes.errorbar(100 * each.mean, row, xerr=100 * width, color=tint, capsize=4)
        axes.scatter(
            [100 * value for value in each.values],
            [row + 0.22] * len(each.values),
            s=14,
            color=tint,
            alpha=0.6,
        )
        axes.scatter(
            100 * each.mean,
            row,
            s=70,
            color=tint if sure else "white",
            edgecolor=tint,
            linewidth=2,
            zorder=3,
        )
    axes.axvline(0, color="#1c2430", linewidth=1)
    axes.invert_yaxis()
    axes.margins(y=0.25)
    axes.grid(axis="x")
    _name_rows(axes, [mechanism for mechanism, _ in shown])
    axes.set_xlabel("improvement over conventional (% of its test accuracy)")
    return _drawn(
        figure,
        "improvement",
        "Relative improvement over conventional attention, paired by seed. Filled: "
        "the 95 % interval leaves out 0. Hollow: it does not, or there is one seed. "
        "Small dots: seeds.",
    )


def radar(summary: Summary) -> Figure | None:
    """Everything at a glance, each axis relative to the best mechanism."""
    shown = [m for m in summary.mechanisms if m.completed]
    if len(shown) < 2:
        return None
    axes_names = ("test accuracy", "speed", "memory", "parameters", "fast to learn")
    values = {m.name: _radar_values(summary, m) for m in shown}
    table = np.array([values[m.name] for m in shown])
    if np.isnan(table).all(axis=0).any():
        return None
    scaled = np.nan_to_num(table / np.nanmax(table, axis=0))
    angles = np.linspace(0, 2 * math.pi, len(axes_names), endpoint=False)
    closed = np.append(angles, angles[0])
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            figsize=(7.6, 4.8), subplot_kw={"projection": "polar"}
        )
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    for mechanism, row in zip(shown, scaled, strict=True):
        tint = colour(mechanism.name)
        line = np.append(row, row[0])
        axes.plot(closed, line, color=tint, linewidth=1.8, label=mechanism.label)
        axes.fill(closed, line, color=tint, alpha=0.06)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], ["", "0.5", "", "1"], fontsize=8)
    axes.set_xticks(angles, axes_names)
    axes.tick_params(axis="x", pad=12)
    axes.legend(loc="center left", bbox_to_anchor=(1.18, 0.5), frameon=False)
    return _drawn(
        figure,
        "radar",
        "At a glance. On every axis 1, the rim, is the best mechanism here and "
        "outward is better: accuracy over the best accuracy, else the smallest "
        "cost over the cost (seconds per epoch, peak memory, parameters, seconds to "
        "90 % of the own best accuracy).",
    )


def attention_maps(summary: Summary, folder: Path) -> Figure | None:
    """What each mechanism attends to in the same example."""
    found: list[tuple[Mechanism, dict[str, Any]]] = []
    for mechanism in summary.mechanisms:
        for run in mechanism.completed[:1]:
            maps = load_maps(folder, run)
            if maps:
                found.append((mechanism, maps))
    if not found:
        return None
    layers = [name for name in found[0][1] if name.startswith("layer")]
    layers = [layers[0], layers[-1]] if len(layers) > 1 else layers
    with pyplot.rc_context(STYLE):
        figure, grid = pyplot.subplots(
            len(layers),
            len(found),
            squeeze=False,
            figsize=(WIDTH * 1.25, 0.7 + 2.15 * len(layers)),
        )
    for column, (mechanism, maps) in enumerate(found):
        for row, layer in enumerate(layers):
            axes = grid[row][column]
            weights = maps[layer].astype("float32").mean(axis=0)
            # The strongest few weights would leave the rest black.
            axes.imshow(
                weights,
                cmap="viridis",
                vmin=0,
                vmax=max(float(np.quantile(weights, 0.99)), 1e-6),
                interpolation="nearest",
            )
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(False)
            if column == 0:
                axes.set_ylabel(f"layer {int(layer.removeprefix('layer')) + 1}")
            if row == 0:
                title = "\n".join(textwrap.wrap(mechanism.name.replace("_", " "), 18))
                axes.set_title(title, color=colour(mechanism.name), fontsize=10)
    return _drawn(
        figure,
        "attention",
        "Attention weights in one validation example, means over heads: a row for "
        "each position that attends, a column for each it attends to. Brighter is "
        "more, each map on its own scale. Weights are no explanation of a decision.",
    )


def load_maps(folder: Path, run: Result) -> dict[str, Any]:
    """Returns the attention maps of a run by layer, empty if there are none."""
    path = folder / run.experiment.name / "attention.npz"
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _radar_values(summary: Summary, mechanism: Mechanism) -> list[float]:
    def cheapness(found: Any) -> float:
        return 1 / found.mean if found is not None and found.mean > 0 else math.nan

    seconds = [summary.to_own_best(run) for run in mechanism.completed]
    learning = [value[1] for value in seconds if value is not None and value[1] > 0]
    accuracy = mechanism.accuracy
    return [
        accuracy.mean if accuracy else math.nan,
        cheapness(mechanism.mean("seconds_per_epoch")),
        cheapness(mechanism.mean("model_memory")),
        cheapness(mechanism.mean("parameters")),
        1 / (sum(learning) / len(learning)) if learning else math.nan,
    ]


def _rows(count: float) -> tuple[Any, Any]:
    with pyplot.rc_context(STYLE):
        return pyplot.subplots(figsize=(WIDTH, 0.9 + 0.55 * count))


def _name_rows(axes: Any, mechanisms: Sequence[Mechanism]) -> None:
    axes.set_yticks(range(len(mechanisms)), [m.label for m in mechanisms])
    for label, mechanism in zip(axes.get_yticklabels(), mechanisms, strict=True):
        label.set_color(colour(mechanism.name))
    axes.tick_params(axis="y", length=0)


def _drawn(figure: Any, name: str, caption: str) -> Figure:
    with pyplot.rc_context(STYLE):
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", dpi=130)
    pyplot.close(figure)
    return Figure(name, svg.getvalue(), png.getvalue(), caption)
