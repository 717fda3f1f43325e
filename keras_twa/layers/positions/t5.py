"""T5's relative positions: a learned bias for each bucket of lags."""

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.positions.bias import PositionBias
from keras_twa.ops import PairBias
from keras_twa.ops import times_of
from keras_twa.ops.softmax.biases import GrowingBuckets
from keras_twa.ops.softmax.biases import LagTable


@keras.saving.register_keras_serializable(package="keras_twa")
class T5Positions(PositionBias):
    """Adds a learned number to each score, by the head and by the bucket of the lag.

    Of the n buckets of one direction, the first `n / 2` are one step wide, and the
    others grow, by the logarithm of the lag, up to `max_distance`; the last one takes
    all that is farther away. Real lags are rounded down to the bucket they are in. It
    is for the `positions` of an attention layer, not for the input of a model.

    T5 has one table for all layers of a stack; here each layer has its own. T5 also
    leaves out the factor `1 / sqrt(D)` on its scores; here the layer keeps it, and the
    bias comes after.

    Args:
        num_buckets: Number of buckets, an even one. Defaults to 32.
        max_distance: Lag from which on all are in the last bucket. Defaults to 128.
        bidirectional: Whether half of the buckets are for keys ahead. With `False`, for
            causal calls, all are for the past, and a key ahead counts as one at lag 0.
            Defaults to `True`.
        initializer: Initializer of the biases. Defaults to a normal distribution of
            standard deviation 0.02.

    Call arguments:
        query: `(B, T, H, D)`; only its shape is looked at.
        key: `(B, S, H, D)`, likewise. Defaults to `query`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Defaults to
            0 ... T-1.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Defaults to those of the
            queries if `key` is not given, else to 0 ... S-1.

    Returns:
        The bias, `(B, H, T, S)` in float32.

    Raises:
        ValueError: If `num_buckets` is odd or too few, or `max_distance` is not beyond
            the buckets that are one step wide.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import DotProductAttention, T5Positions
    >>> positions = T5Positions(num_buckets=16, bidirectional=False)
    >>> layer = DotProductAttention(num_heads=2, key_dim=8, positions=positions)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, use_causal_mask=True).shape)
    (4, 10, 16)

    Reference:
        [Raffel et al., 2020](https://arxiv.org/abs/1910.10683)
    """

    def __init__(
        self,
        num_buckets=32,
        max_distance=128,
        bidirectional=True,
        initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.positive_even_integer(num_buckets=num_buckets)
        checks.positive_integer(max_distance=max_distance)
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer)
        self._buckets = GrowingBuckets(self._edges(), bidirectional)

    def build(self, query_shape, key_shape=None):
        self.embeddings = self.add_weight(
            shape=(self.num_buckets, query_shape[2]),
            initializer=self.initializer,
            name="embeddings",
        )

    def pair_bias(self, query, key, query_times, key_times):
        num_queries = ops.shape(query)[1]
        query_times = times_of(query_times, num_queries)
        key_times = times_of(key_times, ops.shape(key)[1])
        table = ops.transpose(ops.cast(self.embeddings, "float32"))
        table = ops.broadcast_to(
            table[None, None], (1, num_queries, query.shape[2], self.num_buckets)
        )
        return PairBias(
            LagTable(self._buckets),
            {"time": query_times[..., None], "table": table},
            {"time": key_times[..., None]},
        )

    def _edges(self):
        """Where all buckets of one direction begin, but for the first."""
        count = self.num_buckets // 2 if self.bidirectional else self.num_buckets
        narrow = count // 2
        if narrow < 1 or self.max_distance <= narrow:
            raise ValueError(
                "Half of the buckets of a direction are one step wide: there must be "
                "one at least, and `max_distance` must be beyond them. Received: "
                f"num_buckets={self.num_buckets}, max_distance={self.max_distance}, "
                f"bidirectional={self.bidirectional}"
            )
        parts = np.arange(1, count - narrow) / (count - narrow)
        wide = narrow * (self.max_distance / narrow) ** parts
        # Rounded, so that an edge that is a whole number is one.
        return tuple(map(float, [*range(1, narrow + 1), *wide.astype("float32")]))

    def get_config(self):
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "initializer": keras.initializers.serialize(self.initializer),
        }
