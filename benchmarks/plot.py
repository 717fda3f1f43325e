"""Draws time and memory against the length of the sequence."""

import itertools

from matplotlib import pyplot

from keras_twa import style
from keras_twa.experiments.drawing import WIDTH

PANELS = (
    ("median", 1, "Seconds per step, forward + backward"),
    ("memory", 1e6, "MB over the idle framework"),
)


def draw_scaling(report, path):
    """Writes a PNG with two panels, both on logarithmic scales."""
    all_series = report["series"]
    colours = colours_of([series["name"] for series in all_series])
    lengths = sorted({p["length"] for s in all_series for p in s["points"]})
    with pyplot.rc_context(style.STYLE):
        size = (1.4 * WIDTH, 6.2)
        figure, panels = pyplot.subplots(1, 2, figsize=size)
        for axes, (quantity, unit, title) in zip(panels, PANELS, strict=True):
            for series in all_series:
                draw_series(axes, series, quantity, unit, colours[series["name"]])
            axes.set(xscale="log", yscale="log", xlabel="length", title=title)
            axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
            axes.tick_params(axis="x", which="minor", length=0, labelbottom=False)
            axes.grid(True)
            # Below the panel, as there is no room between the lines.
            axes.legend(
                fontsize=8,
                frameon=False,
                ncols=2,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.12),
                title="slope of the longest in brackets",
            )
        environment = report["environment"]
        figure.suptitle(
            f"{environment['backend']} on {environment['processor']}"
            if environment["device"] == "CPU"
            else f"{environment['backend']} on {environment['device']}"
        )
        figure.savefig(path, dpi=110)
    pyplot.close(figure)


def colours_of(names):
    """Mechanisms have the colours of the reports; peers take the others in turn."""
    others = itertools.cycle(style.MORE_COLOURS)
    return {name: style.COLOURS.get(name) or next(others) for name in names}


def draw_series(axes, series, quantity, unit, colour):
    points = [point for point in series["points"] if point[quantity] > 0]
    slope = series[f"{quantity}_slope"]
    axes.plot(
        [point["length"] for point in points],
        [point[quantity] / unit for point in points],
        marker="o",
        markersize=3.5,
        # The lines of peers are dashed.
        linestyle="-" if series["name"] in style.COLOURS else "--",
        color=colour,
        label=series["name"] + ("" if slope is None else f" ({slope:.2f})"),
    )
