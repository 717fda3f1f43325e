"""Weights of an attention layer as a function of position."""

import matplotlib
import numpy as np

from keras_twa.figure import LooseFigure
from keras_twa.layers import checks
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.profiles import Curves
from keras_twa.style import STYLE
from keras_twa.style import draw_weights
from keras_twa.visualization.measured import measured


def position_weights(layer, length=64, inputs=None):
    """Draws the weights of an attention layer as a function of position.

    Without `inputs`, the figure shows the effect of positions alone, with the current
    model weights of the layer:

    - temporal-weighted attention: `W` of each head, by time or lag;
    - several timescales, and retention: discounts `gamma^lag`, or their combination by
      the Tikhonov decoder;
    - gravity: the force against the distance of query and key, at masses of 1;
    - local and sparse attention: which keys each query sees. A causal call hides the
      later ones of them;
    - block-recurrent attention and Transformer-XL: `exp` of the learned bias of a lag.

    With `inputs`, it shows a measurement, for any mechanism: the mean attention weight
    by lag. For mechanisms without attention weights, it is the relative change in the
    output of a step after a small change in another step.

    Args:
        layer: A built attention layer of this package, such as
            `model.blocks[0].attention_layer`.
        length: Number of steps, units of time, or points of a curve. It is reduced if
            the layer has fewer. Defaults to 64.
        inputs: Inputs of the layer, `(B, T, F)`, or `None`. Mechanisms without
            attention weights need memory for T copies of them.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If `layer` is not a built attention layer, a size does not fit, or
            its weights depend on inputs and there are none.

    Example:

    >>> from keras_twa.layers import RetentionAttention
    >>> from keras_twa.visualization import position_weights
    >>> layer = RetentionAttention(num_heads=2, key_dim=8)
    >>> layer.build((None, None, 16))
    >>> figure = position_weights(layer, length=100)
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['head 0, γ = 0.969', 'head 1, γ = 0.984']
    """
    if not isinstance(layer, Attention) or not layer.built:
        raise ValueError(
            "`layer` must be an attention layer of keras_twa that is built, or was "
            f"called. Received: layer={layer!r}"
        )
    checks.positive_integer(length=length)
    if inputs is None:
        if layer.position_profile is None:
            raise ValueError(
                "What this mechanism weighs depends on what is in a sequence, not on "
                "positions alone: give `inputs` to measure it. "
                f"Received: {type(layer).__name__}"
            )
        panels = layer.position_profile(length)
    else:
        inputs = np.asarray(inputs, "float32")
        if inputs.ndim != 3:
            raise ValueError(
                "`inputs` must have shape (batch, length, features). "
                f"Received: inputs of shape {inputs.shape}"
            )
        panels = [measured(layer, inputs)]
    with matplotlib.rc_context(STYLE):
        figure = LooseFigure(figsize=(6.0 * len(panels), 3.6))
        grid = figure.subplots(1, len(panels), squeeze=False)
        for axes, panel in zip(grid[0], panels, strict=True):
            draw = _draw_curves if isinstance(panel, Curves) else _draw_pairs
            draw(axes, panel)
        figure.finish()
    return figure


def _draw_curves(axes, curves):
    for name, line in curves.lines.items():
        axes.plot(curves.x, line, label=name)
    axes.set(xlabel=curves.xlabel, ylabel=curves.ylabel)
    axes.set_ylim(bottom=min(0.0, *axes.get_ylim()))
    axes.grid(axis="y")
    if len(curves.lines) > 1:
        columns = 1 + (len(curves.lines) - 1) // 8
        axes.legend(frameon=False, fontsize=8, ncols=columns)


def _draw_pairs(axes, pairs):
    draw_weights(axes, np.ma.masked_equal(pairs.weights, 0))
    axes.set(xlabel="key", ylabel="query")
    axes.set_title(pairs.title, fontsize=9)
