"""The attention layers. `ATTENTION_LAYERS` is the only list of them."""

from keras_twa.layers.attention.dot_product import DotProductAttention
from keras_twa.layers.attention.gravitational import GravitationalAttention
from keras_twa.layers.attention.gravitational_multi_timescale import (
    GravitationalMultiTimescaleAttention,
)
from keras_twa.layers.attention.multi_timescale import MultiTimescaleAttention
from keras_twa.layers.attention.temporal_weighted import TemporalWeightedAttention

ATTENTION_LAYERS = (
    DotProductAttention,
    TemporalWeightedAttention,
    GravitationalAttention,
    MultiTimescaleAttention,
    GravitationalMultiTimescaleAttention,
)
