"""Attention weights as images, head by head and layer by layer."""

from numbers import Integral

import keras
import matplotlib
import numpy as np

from keras_twa.figure import LooseFigure
from keras_twa.layers.profiles import head_names
from keras_twa.style import STYLE
from keras_twa.style import draw_weights
from keras_twa.visualization.recording import attention_layers
from keras_twa.visualization.recording import recording

# A heat map has at most this many cells along each side.
MOST_CELLS = 256


def attention_heatmaps(model, inputs, layers=None, heads=None, example=0):
    """Draws the attention weights of a model for one sequence, by layer and head.

    The model runs once, eagerly and in inference. Rows are queries and columns are
    keys. Brighter cells have larger weights, with a separate scale for each image. A
    blank cell has no weight: a mask, a window or a pattern hides it, or it rounds to 0.
    Attention weights do not explain a decision.

    Weights need O(T S) memory. Images of more than 256 steps are reduced: the weights
    of neighbouring keys are summed and those of neighbouring queries averaged, so that
    rows still sum to 1.

    Args:
        model: A built model with attention layers of this package at any depth, or such
            a layer.
        inputs: The inputs of the model: an array, or a list or dictionary of arrays.
            The model masks padding as usual. A model with a memory remembers this call.
        layers: Which attention layers to draw: numbers from 0 in the order in which
            they run, or names of the layers or of parts of their paths, such as
            "block_0". Defaults to all.
        heads: Number of the head to draw, or a list of numbers. Defaults to all.
        example: Which sequence of the batch. Defaults to 0, the first.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the model is not built or has no attention layers, a layer, head
            or example does not exist, or a selected layer has no attention weights, as
            recurrent mechanisms have none.

    Example:

    >>> import numpy as np
    >>> from keras_twa.models import EncoderClassifier
    >>> from keras_twa.visualization import attention_heatmaps
    >>> model = EncoderClassifier(17, 10, "gravitational", embedding_dim=16)
    >>> tokens = np.array([[3, 1, 4, 1, 5, 0, 0]])
    >>> logits = model(tokens)
    >>> figure = attention_heatmaps(model, tokens)
    >>> len(figure.axes)  # two blocks with four heads each
    8
    """
    inside = attention_layers(model)
    if not inside or not model.built:
        raise ValueError(
            "The model must be built, or called before, and contain an attention layer "
            f"of keras_twa. Received: model={model!r}"
        )
    _check_example(inputs, example)
    with recording(inside, example) as found:
        model(inputs, training=False)
    rows = [_chosen_heads(*pair, heads) for pair in _chosen_layers(found, layers)]
    return _drawn(rows)


def _check_example(inputs, example):
    batch = np.shape(keras.tree.flatten(inputs)[0])[0]
    if not isinstance(example, Integral) or not 0 <= example < batch:
        raise ValueError(
            f"`example` must be the number of a sequence, 0 to {batch - 1}. "
            f"Received: example={example!r}"
        )


def _chosen_layers(found, layers):
    """The pairs of layer and weights to draw."""
    paths = [layer.path for layer, _ in found]
    if layers is None:
        chosen = list(range(len(found)))
    else:
        chosen = [
            index for wanted in _listed(layers) for index in _numbers(wanted, paths)
        ]
    if not chosen:
        raise ValueError(
            "The model must call an attention layer, and `layers` must name one. "
            f"Received: layers={layers!r} among {paths}"
        )
    without = {type(found[i][0]).__name__ for i in chosen if found[i][1] is None}
    if without:
        raise ValueError(
            "Only attention layers with weights of pairs can be drawn; select them "
            f"with `layers`. Received: {', '.join(sorted(without))} among {paths}"
        )
    return [found[index] for index in chosen]


def _numbers(wanted, paths):
    """The numbers of the layers with this number or name."""
    if isinstance(wanted, Integral):
        numbers = [wanted] if 0 <= wanted < len(paths) else []
    else:
        numbers = [i for i, path in enumerate(paths) if f"/{wanted}/" in f"/{path}/"]
    if not numbers:
        raise ValueError(
            "`layers` must be numbers of attention layers, or names that are part of "
            f"their paths: {paths}. Received: {wanted!r}"
        )
    return numbers


def _chosen_heads(layer, weights, heads):
    """A layer's path, and the weights of its heads by name."""
    names = head_names(layer, len(weights))
    chosen = range(len(weights)) if heads is None else _listed(heads)
    there = [isinstance(one, Integral) and 0 <= one < len(weights) for one in chosen]
    if not there or not all(there):
        raise ValueError(
            f"`heads` must be numbers, 0 to {len(weights) - 1} for {layer.path}. "
            f"Received: heads={heads!r}"
        )
    return layer.path, {names[head]: weights[head] for head in chosen}


def _listed(given):
    """The argument as a list."""
    return [given] if np.ndim(given) == 0 else list(given)


def _drawn(rows):
    most = max(len(heads) for _, heads in rows)
    with matplotlib.rc_context(STYLE):
        figure = LooseFigure(figsize=(1.0 + 2.2 * most, 0.6 + 2.4 * len(rows)))
        grid = figure.subplots(len(rows), most, squeeze=False)
        for axes_of_row, (path, heads) in zip(grid, rows, strict=True):
            for axes in axes_of_row[len(heads) :]:
                axes.remove()
            for axes, (name, weights) in zip(axes_of_row, heads.items(), strict=False):
                _draw(axes, weights)
                axes.set_title(name, fontsize=9)
            axes_of_row[0].set_ylabel(f"{path}\nquery", fontsize=9)
        for axes in grid[-1]:
            axes.set_xlabel("key", fontsize=9)
        figure.finish()
    return figure


def _draw(axes, weights):
    num_queries, num_keys = weights.shape
    cells = smaller(weights)
    draw_weights(
        axes,
        np.ma.masked_equal(cells, 0),
        extent=(-0.5, num_keys - 0.5, num_queries - 0.5, -0.5),
        aspect="equal" if num_queries == num_keys else "auto",
    )
    axes.tick_params(labelsize=8)
    if cells.shape != weights.shape:
        per_cell = -(-max(weights.shape) // MOST_CELLS)
        axes.annotate(
            f"{per_cell} steps a cell",
            (1, 1),
            xycoords="axes fraction",
            ha="right",
            va="bottom",
            fontsize=7,
        )


def smaller(weights):
    """Weights `(T, S)` in at most 256 x 256 cells: sums of keys, means of queries."""
    size = -(-max(weights.shape) // MOST_CELLS)
    if size == 1:
        return weights
    rows, columns = (np.arange(0, length, size) for length in weights.shape)
    cells = np.add.reduceat(np.add.reduceat(weights, rows, 0), columns, 1)
    counts = np.diff(np.append(rows, len(weights)))
    return cells / counts[:, None]
