"""Pure attention kernels: `(batch, length, heads, dim)` in and out, no weights."""

from keras_twa.ops.additive import additive_attention
from keras_twa.ops.biases import PairBias
from keras_twa.ops.biases import biased
from keras_twa.ops.block_recurrent import block_recurrent_attention
from keras_twa.ops.blocked import blocked_attention
from keras_twa.ops.discounted import discounted_attention
from keras_twa.ops.dropout import WeightDropout
from keras_twa.ops.forgetting import forgetting_attention
from keras_twa.ops.fused import dot_product_attention
from keras_twa.ops.gated_delta import gated_delta
from keras_twa.ops.generalized_delta import generalized_delta_rule
from keras_twa.ops.laplace import inverse_laplace
from keras_twa.ops.linear import linear_attention
from keras_twa.ops.linear import log_linear_attention
from keras_twa.ops.local import local_attention
from keras_twa.ops.lsh import lsh_attention
from keras_twa.ops.multi_timescale_retention import multi_timescale_retention
from keras_twa.ops.near import near_attention
from keras_twa.ops.performer import performer_attention
from keras_twa.ops.retention import retention
from keras_twa.ops.rotary import rotary_rates
from keras_twa.ops.rotary import rotate
from keras_twa.ops.scores import Force
from keras_twa.ops.scores import InnerProduct
from keras_twa.ops.scores import inner_product
from keras_twa.ops.scores import lag
from keras_twa.ops.scores import log_softplus
from keras_twa.ops.scores import squared_distance
from keras_twa.ops.scores import times_of
from keras_twa.ops.tiled import tiled_attention
from keras_twa.ops.token_shift import previous_real
from keras_twa.ops.transformer_xl import relative_attention
from keras_twa.ops.unit import unit
from keras_twa.ops.wkv import wkv

__all__ = [
    "Force",
    "InnerProduct",
    "PairBias",
    "WeightDropout",
    "additive_attention",
    "biased",
    "block_recurrent_attention",
    "blocked_attention",
    "discounted_attention",
    "dot_product_attention",
    "forgetting_attention",
    "gated_delta",
    "generalized_delta_rule",
    "inner_product",
    "inverse_laplace",
    "lag",
    "linear_attention",
    "local_attention",
    "log_linear_attention",
    "log_softplus",
    "lsh_attention",
    "multi_timescale_retention",
    "near_attention",
    "performer_attention",
    "previous_real",
    "relative_attention",
    "retention",
    "rotary_rates",
    "rotate",
    "squared_distance",
    "tiled_attention",
    "times_of",
    "unit",
    "wkv",
]
