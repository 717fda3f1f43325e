"""The mechanisms of all cases: each layer with its float64 loop."""

from keras_twa import layers
from tests import references

ADDITIVE = layers.AdditiveAttention, references.additive
BLOCK_RECURRENT = layers.BlockRecurrentAttention, references.block_recurrent
BOTH = (
    layers.GravitationalMultiTimescaleAttention,
    references.gravitational_multi_timescale,
)
DIFFERENTIAL = layers.DifferentialAttention, references.differential
DOT = layers.DotProductAttention, references.dot_product
FORGETTING = layers.ForgettingAttention, references.forgetting
GATED_DELTA = layers.GatedDeltaAttention, references.gated_delta
GATED_LINEAR = layers.GatedLinearAttention, references.gated_linear
GRAVITY = layers.GravitationalAttention, references.gravitational
LATENT = layers.LatentAttention, references.latent
LINEAR = layers.LinearAttention, references.linear
LOCAL = layers.LocalAttention, references.local
LSH = layers.LSHAttention, references.lsh
MAMBA2 = layers.Mamba2Attention, references.mamba2
PERFORMER = layers.PerformerAttention, references.performer
RETENTION = layers.RetentionAttention, references.retention
RWKV = layers.RWKVAttention, references.rwkv
SPARSE = layers.SparseAttention, references.sparse
TEMPORAL = layers.TemporalWeightedAttention, references.temporal_weighted
TIMESCALES = layers.MultiTimescaleAttention, references.multi_timescale
TIMESCALE_RETENTION = (
    layers.MultiTimescaleRetention,
    references.multi_timescale_retention,
)
TRANSFORMER_XL = layers.TransformerXLAttention, references.transformer_xl
