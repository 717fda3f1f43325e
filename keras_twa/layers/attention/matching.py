"""Transforms queries and keys so that their inner product is the chosen score."""

import math

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.ops import unit

SCORES = ("scaled_dot", "dot", "cosine", "bilinear")
# The initial factor of cosines, as in Swin Transformer V2.
COSINE_SCALE = 10.0


class Matching(keras.layers.Layer):
    """Transforms queries and keys so that their inner product is the score.

    Args:
        num_heads: Number of heads H of the queries.
        score: One of `SCORES`.
        qk_norm: Whether queries and keys are normalised first, to a root mean square of
            1 times a learned scale for each channel.
        dense_options: Function that returns the options of one dense layer, each time
            with new initializers.

    Call arguments:
        query: `(B, T, H, D)`.
        key: `(B, S, heads, D)`.

    Returns:
        Both, with the same shapes and dtypes.
    """

    def __init__(self, num_heads, score, qk_norm, dense_options, **kwargs):
        checks.one_of(SCORES, score=score)
        checks.boolean(qk_norm=qk_norm)
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.score = score
        self.qk_norm = qk_norm
        self.dense_options = dense_options

    def build(self, query_shape, key_shape=None):
        if self.qk_norm:
            self.query_norm, self.key_norm = (
                keras.layers.RMSNormalization(dtype=self.dtype_policy, name=name)
                for name in ("query_norm", "key_norm")
            )
            self.query_norm.build(query_shape)
            self.key_norm.build(key_shape)
        if self.score == "bilinear":
            self.bilinear = HeadDense(
                # b: batch, t: time, h: heads, c and d: widths; each head has its own.
                "bthc,hcd->bthd",
                output_shape=(None, self.num_heads, query_shape[-1]),
                name="bilinear",
                **self.dense_options(),
            )
            self.bilinear.build(query_shape)
        if self.score == "cosine":
            self.log_scale = self.add_weight(
                shape=(self.num_heads,),
                initializer=keras.initializers.Constant(math.log(COSINE_SCALE)),
                autocast=False,
                name="log_scale",
            )

    def call(self, query, key):
        if self.qk_norm:
            query, key = self.query_norm(query), self.key_norm(key)
        if self.score == "bilinear":
            query = self.bilinear(query)
        if self.score == "cosine":
            scale = ops.exp(ops.convert_to_tensor(self.log_scale))[:, None]
            query = ops.cast(unit(query) * scale, query.dtype)
            key = ops.cast(unit(key), key.dtype)
        return query, key
