"""Pure attention kernels: `(batch, length, heads, dim)` in and out, no variables."""

from keras_twa.ops.log_softplus import log_softplus
from keras_twa.ops.recurrent.block_recurrent import block_recurrent_attention
from keras_twa.ops.recurrent.delta_product import delta_product
from keras_twa.ops.recurrent.gated_delta import gated_delta
from keras_twa.ops.recurrent.gated_linear import gated_linear
from keras_twa.ops.recurrent.generalized_delta import generalized_delta_rule
from keras_twa.ops.recurrent.laplace import inverse_laplace
from keras_twa.ops.recurrent.linear import linear_attention
from keras_twa.ops.recurrent.linear import log_linear_attention
from keras_twa.ops.recurrent.multi_timescale_retention import multi_timescale_retention
from keras_twa.ops.recurrent.performer import performer_attention
from keras_twa.ops.recurrent.retention import retention
from keras_twa.ops.recurrent.state_space import state_space
from keras_twa.ops.recurrent.token_shift import earlier_real
from keras_twa.ops.recurrent.token_shift import previous_real
from keras_twa.ops.recurrent.wkv import wkv
from keras_twa.ops.rotary import rotary_rates
from keras_twa.ops.rotary import rotate
from keras_twa.ops.softmax.additive import additive_attention
from keras_twa.ops.softmax.biases import PairBias
from keras_twa.ops.softmax.biases import biased
from keras_twa.ops.softmax.block_sparse import blocked_attention
from keras_twa.ops.softmax.discounted import discounted_attention
from keras_twa.ops.softmax.dropout import WeightDropout
from keras_twa.ops.softmax.force_by_distance import ForceByDistance
from keras_twa.ops.softmax.forgetting import forgetting_attention
from keras_twa.ops.softmax.fused import dot_product_attention
from keras_twa.ops.softmax.local import local_attention
from keras_twa.ops.softmax.lsh import lsh_attention
from keras_twa.ops.softmax.scores import Force
from keras_twa.ops.softmax.scores import InnerProduct
from keras_twa.ops.softmax.scores import inner_product
from keras_twa.ops.softmax.scores import lag
from keras_twa.ops.softmax.scores import squared_distance
from keras_twa.ops.softmax.scores import times_of
from keras_twa.ops.softmax.sliding_window import near_attention
from keras_twa.ops.softmax.tiled import tiled_attention
from keras_twa.ops.softmax.time_weights import LagLine
from keras_twa.ops.softmax.time_weights import TimeWeight
from keras_twa.ops.softmax.transformer_xl import relative_attention
from keras_twa.ops.unit import unit

__all__ = [
    "Force",
    "ForceByDistance",
    "InnerProduct",
    "LagLine",
    "PairBias",
    "TimeWeight",
    "WeightDropout",
    "additive_attention",
    "biased",
    "block_recurrent_attention",
    "blocked_attention",
    "delta_product",
    "discounted_attention",
    "dot_product_attention",
    "earlier_real",
    "forgetting_attention",
    "gated_delta",
    "gated_linear",
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
    "state_space",
    "tiled_attention",
    "times_of",
    "unit",
    "wkv",
]
