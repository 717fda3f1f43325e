"""The attention layers. `ATTENTION_LAYERS` is the single list of all of them."""

from keras_twa.layers.attention.additive import AdditiveAttention
from keras_twa.layers.attention.block_recurrent import BlockRecurrentAttention
from keras_twa.layers.attention.differential import DifferentialAttention
from keras_twa.layers.attention.dot_product import DotProductAttention
from keras_twa.layers.attention.forgetting import ForgettingAttention
from keras_twa.layers.attention.gated_delta import GatedDeltaAttention
from keras_twa.layers.attention.gated_linear import GatedLinearAttention
from keras_twa.layers.attention.gravitational import GravitationalAttention
from keras_twa.layers.attention.gravitational_multi_timescale import (
    GravitationalMultiTimescaleAttention,
)
from keras_twa.layers.attention.latent import LatentAttention
from keras_twa.layers.attention.linear import LinearAttention
from keras_twa.layers.attention.local import LocalAttention
from keras_twa.layers.attention.lsh import LSHAttention
from keras_twa.layers.attention.mamba2 import Mamba2Attention
from keras_twa.layers.attention.multi_timescale import MultiTimescaleAttention
from keras_twa.layers.attention.multi_timescale_retention import MultiTimescaleRetention
from keras_twa.layers.attention.performer import PerformerAttention
from keras_twa.layers.attention.retention import RetentionAttention
from keras_twa.layers.attention.rwkv import RWKVAttention
from keras_twa.layers.attention.sparse import SparseAttention
from keras_twa.layers.attention.temporal_weighted import TemporalWeightedAttention
from keras_twa.layers.attention.transformer_xl import TransformerXLAttention

ATTENTION_LAYERS = (
    DotProductAttention,
    TemporalWeightedAttention,
    GravitationalAttention,
    MultiTimescaleAttention,
    GravitationalMultiTimescaleAttention,
    LinearAttention,
    PerformerAttention,
    RetentionAttention,
    ForgettingAttention,
    LocalAttention,
    BlockRecurrentAttention,
    MultiTimescaleRetention,
    GatedDeltaAttention,
    LSHAttention,
    TransformerXLAttention,
    RWKVAttention,
    SparseAttention,
    AdditiveAttention,
    DifferentialAttention,
    LatentAttention,
    GatedLinearAttention,
    Mamba2Attention,
)
