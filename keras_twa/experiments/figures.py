"""The charts of a report."""

from collections.abc import Sequence

import numpy as np

from keras_twa.experiments.document import Figure
from keras_twa.experiments.drawing import axes_grid
from keras_twa.experiments.drawing import drawn
from keras_twa.experiments.drawing import name_rows
from keras_twa.experiments.drawing import row_axes
from keras_twa.experiments.summary import Summary

BASELINE_COLOURS = ("#8a94a0", "#b8860b", "#7a5195")


def score_bars(summary: Summary) -> Figure:
    """Bars of the test score, a dot per seed, 95 % intervals, baselines."""
    metric = summary.metric
    shown = [m for m in summary.mechanisms if m.score]
    baselines = sorted(summary.facts["baselines"].items(), key=lambda item: item[1])
    # Each baseline has a line of text of its own.
    top = 0.56 + 0.32 * max(len(baselines), 2)
    figure, axes = row_axes(len(shown) + top - 0.6)
    for row, mechanism in enumerate(shown):
        found = mechanism.score
        if found is None:
            continue
        values = metric.scale * np.array(found.values)
        axes.barh(row, values.mean(), 0.6, color=mechanism.colour, alpha=0.75)
        if found.half_width is not None:
            axes.errorbar(
                values.mean(),
                row,
                xerr=metric.scale * found.half_width,
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
        right = max(
            values.max(), values.mean() + metric.scale * (found.half_width or 0)
        )
        axes.annotate(
            metric.plain(found.mean),
            (right, row),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
    for index, (name, value) in enumerate(baselines):
        tint = BASELINE_COLOURS[index % len(BASELINE_COLOURS)]
        place = metric.scale * value
        axes.axvline(place, color=tint, linestyle="--", linewidth=1.3, zorder=0)
        axes.annotate(
            f"{name} {metric.plain(value)}",
            (place, -0.62 - 0.32 * index),
            xytext=(4, 0),
            textcoords="offset points",
            color=tint,
            fontsize=9,
            va="center",
        )
    axes.set_ylim(len(shown) - 0.45, -top)
    axes.margins(x=0.12)
    name_rows(axes, shown)
    axes.set_xlabel(f"test {metric.axis}")
    seeds = max((len(m.scores) for m in shown), default=0)
    better = "higher" if metric.higher_is_better else "lower"
    caption = (
        f"Test {metric.title} ({better} is better); a dot for each seed, dashed lines "
        "without attention. "
    ) + (
        "Whiskers: 95 % t interval over seeds."
        if seeds > 1
        else "One seed: there is no interval."
    )
    return drawn(figure, "score", caption)


def learning_curves(summary: Summary) -> Figure:
    """Validation score against epochs and seconds, and losses."""
    metric = summary.metric
    figure, (panels,) = axes_grid(1, 3, height=3.9)
    for mechanism in summary.mechanisms:
        tint = mechanism.colour
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
            epochs, seconds, scores, loss, train = (
                [point[name] for point in run.curve]
                for name in (
                    "epoch",
                    "total_seconds",
                    f"validation_{metric.name}",
                    "validation_loss",
                    "train_loss",
                )
            )
            scores = [metric.scale * value for value in scores]
            panels[0].plot(epochs, scores, label=label, **look)
            panels[1].plot(seconds, scores, **look)
            panels[2].plot(epochs, loss, **look)
            panels[2].plot(epochs, train, **look | {"linestyle": ":", "marker": ""})
    for panel in panels[:2]:
        if summary.chance is not None:
            chance = metric.scale * summary.chance
            panel.axhline(chance, color="#8a94a0", linestyle="--", zorder=0)
        panel.set_ylabel(f"validation {metric.axis}")
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
    return drawn(
        figure,
        "learning",
        "Learning curves, a line for each seed. Dashed: the most trivial baseline.",
    )


def efficiency(summary: Summary) -> Figure:
    """Seconds of an epoch, seconds of compilation, and peak memory."""
    shown = [m for m in summary.mechanisms if m.completed]
    panels: Sequence[tuple[str, str, float]] = (
        ("seconds_per_epoch", "seconds per epoch", 1.0),
        ("compile_seconds", "seconds of compilation", 1.0),
        ("model_memory", "peak memory (MB)", 1e-6),
    )
    figure, (axes,) = axes_grid(1, 3, height=1.0 + 0.5 * len(shown), sharey=True)
    for panel, (name, title, unit) in zip(axes, panels, strict=True):
        for row, mechanism in enumerate(shown):
            found = mechanism.mean(name)
            if found is None:
                continue
            value = found.mean * unit
            panel.barh(row, value, 0.6, color=mechanism.colour, alpha=0.75)
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
        panel.tick_params(axis="y", length=0)
    axes[0].invert_yaxis()
    name_rows(axes[0], shown)
    return drawn(
        figure,
        "efficiency",
        "Time and memory, means over seeds: shorter is better. Each run had a "
        "process of its own.",
    )


def improvement(summary: Summary) -> Figure | None:
    """Relative improvement over the baseline, paired by seed."""
    found = [(m, summary.improvement(m)) for m in summary.mechanisms]
    shown = [(m, e) for m, e in found if e is not None]
    if not shown:
        return None
    figure, axes = row_axes(len(shown))
    for row, (mechanism, each) in enumerate(shown):
        tint = mechanism.colour
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
    name_rows(axes, [mechanism for mechanism, _ in shown])
    title = summary.metric.title
    of = f"{summary.baseline_text} test {title}"
    axes.set_xlabel(f"relative improvement (% of the {of})")
    return drawn(
        figure,
        "improvement",
        f"Relative improvement over {summary.baseline_phrase}, paired by seed: from "
        "50.0 % to 51.0 % is 1.0 percentage point, and 2 % of 50.0 %. Filled: "
        "the 95 % interval leaves out 0. Hollow: it does not, or there is one seed. "
        "Small dots: seeds.",
    )
