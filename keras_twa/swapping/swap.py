"""Exchanges the attention of a model."""

import keras

from keras_twa.keras_internals import sublayers
from keras_twa.mechanism import as_texts
from keras_twa.swapping import configs
from keras_twa.swapping.calls import Watch
from keras_twa.swapping.calls import trace
from keras_twa.swapping.copying import Copies
from keras_twa.swapping.exchange import Exchange
from keras_twa.swapping.places import attention_layers
from keras_twa.swapping.places import chosen
from keras_twa.swapping.places import path_of
from keras_twa.swapping.replacement import name_of
from keras_twa.swapping.replacement import replacement


def swap_attention(model, attention, where=None, **options):
    """Returns a copy of a model with other attention.

    The copy has the weights of the model, and those of the attention whose shapes
    agree. It is compiled if the model is. The model itself stays as it is.

    Args:
        model: A functional, sequential or subclassed `keras.Model`. Its attention may
            be of this package, or Keras's `MultiHeadAttention` or
            `GroupQueryAttention`; it may be inside other layers and models.
        attention: The new attention: a name or text for `keras_twa.layers.get`, a
            class, or a layer. Each place gets a layer of its own, with the sizes,
            initializers and dropout of the old one, and the other options of the layer
            that was given. `keras.layers.MultiHeadAttention` is possible too. Or a list
            of these, with one entry per exchanged layer, in the order of their calls.
        where: Which layers to exchange: a path of a layer, the beginning of paths, a
            pattern such as "*block_0*", a list of these, or a function from a path to a
            boolean. Defaults to `None`: all.
        **options: Arguments of the new layers' constructor.

    Returns:
        A model of the same class. Its attribute `swap_report` is a `SwapReport`: which
        weights of each layer were kept, converted, or start anew, and what differs.

    Raises:
        ValueError: If the model has no attention, `where` fits none, there is no such
            attention or option, or the new attention does not support a call of the
            model, such as one with a mask of pairs.

    Example:

    >>> import keras
    >>> import keras_twa
    >>> x = keras.Input((None, 8))
    >>> y = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    >>> model = keras.Model(x, keras.layers.Dense(3)(y))
    >>> swapped = keras_twa.swap_attention(model, "temporal_weighted")
    >>> type(swapped.get_layer("attention")).__name__
    'TemporalWeightedAttention'
    >>> swapped.swap_report[0].kept[:2]
    ('query/kernel', 'query/bias')
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={model!r}")
    attention = as_texts(attention)
    old = chosen(attention_layers(model), where)
    configs.check(model)
    for layer in old:
        _check_layer(layer)
    if isinstance(attention, list | tuple):
        wanted = _in_order(model, old, attention)
    else:
        wanted = [attention] * len(old)
    pairs = list(zip(old, wanted, strict=True))
    exchange = Exchange(model, old, [replacement(*pair, options) for pair in pairs])
    made = exchange.run()
    if exchange.refused is not None and exchange.adapt():
        made = exchange.run()
    if exchange.refused is not None:
        index, error = exchange.refused
        raise ValueError(
            f"The attention at {path_of(old[index])!r} cannot be exchanged for "
            f"{name_of(exchange.new[index])!r}: {error}"
        ) from error
    made.swap_report = exchange.finish(made)
    return made


def _check_layer(layer):
    for sublayer in sublayers(layer, recursive=True):
        if sublayer.quantization_mode is not None:
            raise ValueError(
                "Quantized attention cannot be exchanged: exchange it first, then "
                f"quantize the model. Received: {path_of(layer)!r}, "
                f"quantized to {sublayer.quantization_mode!r}"
            )


def _in_order(model, old, attention):
    """One attention for each layer, of a list in the order of their calls."""
    if len(attention) != len(old):
        raise ValueError(
            "A list as `attention` must have one entry per exchanged layer, of which "
            f"there are {len(old)}: {[path_of(layer) for layer in old]}. "
            f"Received: {len(attention)} entries"
        )
    copies = Copies([])
    copy = copies.of(model)
    with Watch([copies.of(layer) for layer in old]) as watch:
        trace(copy, watch)
    # Layers that are never called come last, in their own order.
    order = [*watch.order, *(i for i in range(len(old)) if i not in watch.order)]
    wanted = [None] * len(old)
    for index, entry in zip(order, attention, strict=True):
        wanted[index] = entry
    return wanted
