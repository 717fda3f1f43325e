"""Exchanges the attention of a Keras model."""

from keras_twa.swapping.adapter import AttentionAdapter
from keras_twa.swapping.report import SwappedLayer
from keras_twa.swapping.report import SwapReport
from keras_twa.swapping.swap import swap_attention

__all__ = ["AttentionAdapter", "SwapReport", "SwappedLayer", "swap_attention"]
