"""Shaw's relative positions: queries are compared with a vector for each lag."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.positions.bias import PositionBias
from keras_twa.ops import PairBias
from keras_twa.ops import times_of
from keras_twa.ops.softmax.biases import ClippedSteps
from keras_twa.ops.softmax.biases import LagTable


@keras.saving.register_keras_serializable(package="keras_twa")
class ShawPositions(PositionBias):
    """Adds `q_i . r_{t_j - t_i} / sqrt(D)` to the score of query `i` and key `j`.

    The vectors `r` are learned, one for each lag from `-max_distance` to
    `max_distance`, and shared by all heads. Longer lags use the vector of the longest,
    and fractional lags are rounded down. The layer is for the `positions` of an
    attention layer, not for the input of a model.

    The paper also has vectors for values, and finds that they do not help. As in Music
    Transformer, there are none here.

    Args:
        max_distance: The longest lag with its own vector. Defaults to 16.
        initializer: Initializer of the vectors. Defaults to a normal distribution of
            standard deviation 0.02.

    Call arguments:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`; only its shape is used. Defaults to `query`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Defaults to
            0 ... T-1.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Defaults to those of the
            queries if `key` is not given, else to 0 ... S-1.

    Returns:
        The bias, `(B, H, T, S)` in float32.

    Raises:
        ValueError: If `max_distance` is not a positive integer.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import DotProductAttention, ShawPositions
    >>> positions = ShawPositions(max_distance=4)
    >>> layer = DotProductAttention(num_heads=2, key_dim=8, positions=positions)
    >>> tuple(layer(np.ones((4, 10, 16), "float32")).shape)
    (4, 10, 16)
    >>> tuple(positions.embeddings.shape)
    (9, 8)

    Reference:
        [Shaw et al., 2018](https://arxiv.org/abs/1803.02155); [Huang et al.,
        2018](https://arxiv.org/abs/1809.04281) on vectors for keys only.
    """

    def __init__(self, max_distance=16, initializer=None, **kwargs):
        super().__init__(**kwargs)
        checks.positive_integer(max_distance=max_distance)
        self.max_distance = max_distance
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer)

    def build(self, query_shape, key_shape=None):
        self.embeddings = self.add_weight(
            shape=(2 * self.max_distance + 1, query_shape[-1]),
            initializer=self.initializer,
            name="embeddings",
        )

    def pair_bias(self, query, key, query_times, key_times):
        query_times = times_of(query_times, ops.shape(query)[1])
        key_times = times_of(key_times, ops.shape(key)[1])
        scaled = ops.cast(query, "float32") * query.shape[-1] ** -0.5
        # b: batch, t: time, h: heads, d: width of a head, n: lags.
        table = ops.einsum(
            "bthd,nd->bthn", scaled, ops.cast(self.embeddings, "float32")
        )
        return PairBias(
            LagTable(ClippedSteps(self.max_distance)),
            {"time": query_times[..., None], "table": table},
            {"time": key_times[..., None]},
        )

    def get_config(self):
        return {
            **super().get_config(),
            "max_distance": self.max_distance,
            "initializer": keras.initializers.serialize(self.initializer),
        }
