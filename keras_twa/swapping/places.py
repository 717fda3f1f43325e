"""The attention layers of a model, and which of them to exchange."""

import fnmatch

import keras

from keras_twa.keras_internals import sublayers
from keras_twa.layers import Attention
from keras_twa.suggestions import close_names

OF_KERAS = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)


def attention_layers(model):
    """The attention layers of a model at any depth, each once.

    Args:
        model: The model.

    Returns:
        A list of layers of this package or of Keras, in the order in which the layers
        that hold them got them.

    Raises:
        ValueError: If there are none.
    """
    found = found_in(model, (Attention, *OF_KERAS))
    if not found:
        hint = "" if model.built else " It is not built: call it once, then try again."
        raise ValueError(
            "The model has no attention to exchange: no `MultiHeadAttention` or "
            "`GroupQueryAttention` of Keras, and no attention of keras_twa."
            f"{hint} Received: {_described(model)}"
        )
    return found


def found_in(layer, kinds):
    """The layers of some classes inside a layer, each once; none is in another."""
    found, seen = [], set()
    # Depth first, and sublayers in their order.
    waiting = [layer]
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if isinstance(layer, kinds):
            found.append(layer)
        else:
            waiting += reversed(sublayers(layer))
    return found


def path_of(layer):
    """The path of a layer; its name, if it is not built."""
    return layer.path or layer.name


def chosen(layers, where):
    """The layers whose paths fit.

    Args:
        layers: Layers.
        where: `None` for all; a path, the beginning of paths, or a pattern such as
            "*/block_0/*"; a list of these; or a function from a path to a boolean.

    Raises:
        ValueError: If a pattern fits no layer; similar paths are suggested.
    """
    if where is None:
        return layers
    paths = [path_of(layer) for layer in layers]
    if callable(where):
        fits = [bool(where(path)) for path in paths]
        if not any(fits):
            raise ValueError(
                "`where` chooses none of the attention layers, whose paths are "
                f"{paths}. Received: where={where!r}"
            )
    else:
        patterns = [where] if isinstance(where, str) else where
        if not isinstance(patterns, list | tuple) or not patterns:
            _refuse(where)
        for pattern in patterns:
            if not isinstance(pattern, str):
                _refuse(where)
            if not any(_fits(pattern, path) for path in paths):
                close = close_names(pattern, paths, count=3) or paths
                raise ValueError(
                    f"No attention has a path like {pattern!r}. Did you mean one of "
                    f"{close}? Received: where={where!r}"
                )
        fits = [any(_fits(pattern, path) for pattern in patterns) for path in paths]
    return [layer for layer, fit in zip(layers, fits, strict=True) if fit]


def _fits(pattern, path):
    return path.startswith(f"{pattern}/") or fnmatch.fnmatchcase(path, pattern)


def _refuse(where):
    raise ValueError(
        "`where` must be a path, a pattern, a list of these, or a function from a path "
        f"to True or False. Received: where={where!r}"
    )


def _described(model):
    return f"{type(model).__name__} named {model.name!r}"
