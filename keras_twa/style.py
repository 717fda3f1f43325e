"""How figures look, in reports and in notebooks."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

# Okabe and Ito's colours, which most colour-blind readers can tell apart.
COLOURS = {
    "dot_product": "#4d4d4d",
    "temporal_weighted": "#0072b2",
    "gravitational": "#d55e00",
    "multi_timescale": "#009e73",
    "gravitational_multi_timescale": "#cc79a7",
}
# For other mechanisms, in the order in which they come.
MORE_COLOURS = (
    "#e69f00",
    "#56b4e9",
    "#7b5aa6",
    "#b22222",
    "#7fbf3f",
    "#8c6d1f",
    "#00a7a0",
    "#ff69b4",
    "#2f3f9f",
    "#c0a030",
    "#5f7f5f",
    "#d08060",
    "#9090d0",
    "#403020",
)
STYLE: dict[Any, Any] = {
    # Names are drawn as they are, dollars and underscores included.
    "text.usetex": False,
    "text.parse_math": False,
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


def colours(names: Iterable[str]) -> dict[str, str]:
    """Returns the colour of each mechanism that is shown together with the others."""
    more = itertools.cycle(MORE_COLOURS)
    return {name: COLOURS.get(name) or next(more) for name in names}


def draw_weights(axes: Any, weights: np.ndarray, **options: Any) -> None:
    """Draws weights `(T, S)` as an image, a row for each query.

    The strongest few weights would leave the rest black: colours end at the 99 %
    quantile. If some weights are negative, zero is white.
    """
    visible = np.ma.compressed(weights)
    top = float(np.quantile(np.abs(visible), 0.99)) if len(visible) else 0.0
    top = max(top, 1e-6)
    signed = bool((visible < 0).any())
    axes.imshow(
        weights,
        cmap="RdBu_r" if signed else "viridis",
        vmin=-top if signed else 0,
        vmax=top,
        interpolation="nearest",
        **options,
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
