"""Pure attention kernels: `(batch, length, heads, dim)` in and out, no weights."""

from keras_twa.ops.blocked import blocked_attention
from keras_twa.ops.discounted import discounted_attention
from keras_twa.ops.dropout import WeightDropout
from keras_twa.ops.fused import dot_product_attention
from keras_twa.ops.linear import linear_attention
from keras_twa.ops.local import local_attention
from keras_twa.ops.performer import performer_attention
from keras_twa.ops.retention import retention
from keras_twa.ops.rotary import rotate
from keras_twa.ops.scores import Force
from keras_twa.ops.scores import InnerProduct
from keras_twa.ops.scores import inner_product
from keras_twa.ops.scores import lag
from keras_twa.ops.scores import log_softplus
from keras_twa.ops.scores import squared_distance
from keras_twa.ops.scores import times_of
from keras_twa.ops.tiled import tiled_attention

__all__ = [
    "Force",
    "InnerProduct",
    "WeightDropout",
    "blocked_attention",
    "discounted_attention",
    "dot_product_attention",
    "inner_product",
    "lag",
    "linear_attention",
    "local_attention",
    "log_softplus",
    "performer_attention",
    "retention",
    "rotate",
    "squared_distance",
    "tiled_attention",
    "times_of",
]
