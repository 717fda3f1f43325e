"""Tells the blocks and models of this package which attention they have now."""

import keras

from keras_twa.keras_internals import put_first
from keras_twa.keras_internals import sublayers
from keras_twa.layers.blocks.block import TransformerBlock
from keras_twa.layers.positions import INSIDE_ATTENTION
from keras_twa.models import EncoderDecoder
from keras_twa.models import SegmentLanguageModel
from keras_twa.models import VisionTransformer
from keras_twa.models.token_transformer import TokenTransformer

# By argument of a model: where its blocks are, and the argument of a block.
OF_MODELS = {
    "attention": ("blocks", "attention"),
    "encoder_attention": ("encoder_blocks", "attention"),
    "decoder_attention": ("decoder_blocks", "attention"),
    "cross_attention": ("decoder_blocks", "cross_attention"),
}
MODELS = (TokenTransformer, EncoderDecoder, VisionTransformer)


def check(model):
    """Raises `ValueError` for a model that holds states of its attention."""
    for layer in [model, *sublayers(model, recursive=True)]:
        if isinstance(layer, SegmentLanguageModel) and layer.stateful:
            raise ValueError(
                "A stateful model holds states of its attention, which fit no other: "
                "create it with another `attention`. "
                f"Received: {type(layer).__name__} named {layer.name!r}"
            )


def update(model, exchanged):
    """Lets the configurations of this package's blocks and models name the new layers.

    Args:
        model: The new model.
        exchanged: The new layers.
    """
    ids = {id(layer) for layer in exchanged}
    found = [model, *sublayers(model, recursive=True)]
    for block in found:
        if isinstance(block, TransformerBlock):
            for name in block._attentions:
                layer = getattr(block, _attribute(block, name), None)
                if id(layer) in ids:
                    setattr(block, name, layer)
            _given_first(block)
    for layer in found:
        if isinstance(layer, MODELS):
            _update_model(layer, ids)


def _given_first(block):
    """Puts layers that are arguments of a block before those that it creates.

    The order of the weights, and so of the optimizer's state, is that of a block that
    is loaded.
    """
    given = [getattr(block, name) for name in block._attentions]
    put_first(block, [x for x in given if isinstance(x, keras.layers.Layer)])


def _attribute(block, name):
    """The attribute that holds the attention that an argument of a block names."""
    decodes = hasattr(block, "self_attention_layer") and name == "attention"
    return "self_attention_layer" if decodes else f"{name}_layer"


def _update_model(model, ids):
    config = model._config
    layers = {
        name: [
            getattr(block, _attribute(block, argument), None)
            for block in getattr(model, blocks)
        ]
        for name, (blocks, argument) in OF_MODELS.items()
        if name in config
    }
    new = [name for name in layers if any(id(layer) in ids for layer in layers[name])]
    if new and config.get("positions") in INSIDE_ATTENTION:
        # They are part of each layer now.
        config["positions"] = None
        new = [name for name in layers if name in new or name != "cross_attention"]
    for name in new:
        described = [_described(layer) for layer in layers[name]]
        same = all(_is_like(one, described[0]) for one in described)
        config[name] = described[0] if same else described


def _described(layer):
    return keras.saving.serialize_keras_object(layer)


def _is_like(one, other):
    """Whether two layers differ at most in the shapes they were built with."""
    keys = ("class_name", "config")
    return [one[key] for key in keys] == [other[key] for key in keys]
