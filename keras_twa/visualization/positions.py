"""What an attention layer weighs, as a function of position."""

import matplotlib
import numpy as np

from keras_twa.figure import LooseFigure
from keras_twa.layers import checks
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.profiles import Curves
from keras_twa.style import STYLE
from keras_twa.style import draw_weights
from keras_twa.visualization.measured import measured
from keras_twa.visualization.profiles import profile


def position_weights(layer, length=64, inputs=None):
    """Draws what an attention layer weighs as a function of position.

    Without `inputs`, it is what the mechanism makes of positions alone, with the
    weights that the layer has now:

    - temporal-weighted attention: `W = sigmoid(f(t))` of each head;
    - several timescales, and retention: discounts `gamma^lag`, or what the Tikhonov
      decoder makes of them;
    - gravity: the force against the distance of query and key, at masses of 1;
    - local and sparse attention: which keys each query sees. A causal call sees those
      of them that are not later;
    - block-recurrent attention and Transformer-XL: `exp` of the learned bias of a lag.

    With `inputs`, it is measured, for any mechanism: the mean attention weight by lag;
    or, where there are no weights of pairs, how much the output of a step changes, in
    relation, when another step changes a little.

    Args:
        layer: An attention layer of this package that is built, such as
            `model.blocks[0].attention_layer`.
        length: How many steps, units of time, or points of a curve. Fewer are drawn
            where the layer has no more. Defaults to 64.
        inputs: `(B, T, F)`, what to call the layer with, or `None`. Where there are
            no weights of pairs, that takes memory for T copies.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If `layer` is no attention layer or not built, a size does not fit,
            or what it weighs depends on the inputs, and there are none.

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
        panels = profile(layer, length)
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
