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
    """Adds a learned bias to each score, for each head and each bucket of lags.

    Of the n buckets of one direction, the first `n / 2` are one step wide, and the
    others grow with the logarithm of the lag up to `max_distance`; the last one takes
    all longer lags. Lags may be fractional. The layer is for the `positions` of an
    attention layer, not for the input of a model.

    T5 shares one table between all layers of a stack; here each layer has its own. T5
    also omits the factor `1 / sqrt(D)` of the scores; here it is applied before the
    bias is added.

    Args:
        num_buckets: Number of buckets, even. Defaults to 32.
        max_distance: The lag from which all lags share the last bucket. Defaults to
            128.
        bidirectional: Whether half of the buckets are for later keys. With `False`, for
            causal calls, all are for earlier keys, and a later key counts as lag 0.
            Defaults to `True`.
        initializer: Initializer of the biases. Defaults to a normal distribution of
            standard deviation 0.02.

    Call arguments:
        query: `(B, T, H, D)`; only its shape is used.
        key: `(B, S, H, D)`, likewise. Defaults to `query`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Defaults to
            0 ... T-1.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Defaults to those of the
            queries if `key` is not given, else to 0 ... S-1.

    Returns:
        The bias, `(B, H, T, S)` in float32.

    Raises:
        ValueError: If `num_buckets` is odd or too small, or `max_distance` is not
            beyond the buckets that are one step wide.

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
        """The start of each bucket of one direction except the first."""
        count = self.num_buckets // 2 if self.bidirectional else self.num_buckets
        narrow = count // 2
        if narrow < 1 or self.max_distance <= narrow:
            raise ValueError(
                "Half of the buckets of a direction are one step wide: there must be "
                "at least one, and `max_distance` must be beyond them. Received: "
                f"num_buckets={self.num_buckets}, max_distance={self.max_distance}, "
                f"bidirectional={self.bidirectional}"
            )
        parts = np.arange(1, count - narrow) / (count - narrow)
        wide = narrow * (self.max_distance / narrow) ** parts
        # Rounded to float32, so that edges that should be whole numbers are.
        return tuple(map(float, [*range(1, narrow + 1), *wide.astype("float32")]))

    def get_config(self):
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "initializer": keras.initializers.serialize(self.initializer),
        }
