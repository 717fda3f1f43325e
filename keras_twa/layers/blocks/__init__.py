"""Transformer blocks built from any attention layer."""

from keras_twa.layers.blocks.channel_mixing import ChannelMixing
from keras_twa.layers.blocks.encoder import TransformerEncoder
from keras_twa.layers.blocks.feed_forward import FeedForward

__all__ = ["ChannelMixing", "FeedForward", "TransformerEncoder"]
