"""Transformer blocks built from any attention layer."""

from keras_twa.layers.blocks.channel_mixing import ChannelMixing
from keras_twa.layers.blocks.decoder import TransformerDecoder
from keras_twa.layers.blocks.encoder import TransformerEncoder
from keras_twa.layers.blocks.feed_forward import FeedForward
from keras_twa.layers.blocks.layout import get_layout_map

__all__ = [
    "ChannelMixing",
    "FeedForward",
    "TransformerDecoder",
    "TransformerEncoder",
    "get_layout_map",
]
