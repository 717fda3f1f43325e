"""The attention weights of a model, noted while it runs."""

import contextlib
import functools

from keras import ops

from keras_twa.layers.attention.base import Attention


def attention_layers(model):
    """The attention layers inside a model or layer, at any depth, or it itself."""
    # Keras has no public name for layers inside of layers.
    return [x for x in model._flatten_layers() if isinstance(x, Attention)]


@contextlib.contextmanager
def recording(layers, example):
    """Has layers note their attention weights in each call.

    Their outputs stay as they are, and afterwards so do they, whatever happens.

    Args:
        layers: Attention layers.
        example: Which sequence of a batch to keep.

    Yields:
        A list that fills with pairs of a layer and its weights, NumPy `(H, T, S)`, in
        the order in which layers run. Those without weights of pairs have `None`.
    """
    found = []
    for layer in layers:
        # Under Keras's own tracking of attributes it would become part of the model.
        vars(layer)["mix"] = functools.partial(_noted_mix, found, layer, example)
    try:
        yield found
    finally:
        for layer in layers:
            del vars(layer)["mix"]


def _noted_mix(found, layer, example, call):
    """`layer.mix`, with the weights wherever there are some."""
    call = call.replace(return_weights=layer.pairwise_mask)
    outputs, weights, state = type(layer).mix(layer, call)
    found.append((layer, None if weights is None else _numpy(layer, weights[example])))
    return outputs, weights, state


def _numpy(layer, weights):
    try:
        return ops.convert_to_numpy(weights)
    except (NotImplementedError, TypeError) as error:
        raise ValueError(
            "Weights are there in eager calls only, and something compiles the call "
            f"of this layer, or computes it again. Received: {layer.path}"
        ) from error
