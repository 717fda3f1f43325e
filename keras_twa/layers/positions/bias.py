"""The base class of position embeddings that are added to scores."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.masks import hide_padding


class PositionBias(keras.layers.Layer):
    """Abstract bias for the score of each query and key.

    A subclass implements `pair_bias`. Attention layers use its `PairBias`, so they hold
    no tensor of all pairs. Calling this layer returns that tensor, for inspection or to
    add it to other scores.

    Call arguments:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`. Defaults to `query`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Defaults to
            0 ... T-1.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Defaults to those of the
            queries if `key` is not given, else to 0 ... S-1.

    Returns:
        The bias, `(B, H, T, S)` in float32.

    Raises:
        ValueError: If a shape does not fit.
    """

    # The fact that tells whether an attention layer supports this one.
    needs = "position_bias"

    def __init__(self, **kwargs):
        # Autocasting would round timestamps to half precision on the way in.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.supports_masking = True

    def pair_bias(self, query, key, query_times, key_times):
        """The bias to add to the scores. Each subclass implements this.

        Args:
            query: `(B, T, H, D)`.
            key: `(B, S, heads, D)`, possibly with fewer heads.
            query_times: Float32 `(B or 1, T)`, or `None` for 0, 1, 2, ...
            key_times: Float32 `(B or 1, S)`, or `None`.

        Returns:
            A `PairBias`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `pair_bias`.")

    def call(self, query, key=None, query_positions=None, key_positions=None):
        self._check(query, key, query_positions, key_positions)
        if key is None:
            key = query
            key_positions = query_positions if key_positions is None else key_positions
        times = (batch_of_times(x) for x in (query_positions, key_positions))
        batch, _, heads, _ = ops.shape(query)
        return self.pair_bias(query, key, *times).dense(batch, heads)

    def compute_output_spec(
        self, query, key=None, query_positions=None, key_positions=None
    ):
        self._check(query, key, query_positions, key_positions)
        batch, queries, heads, _ = query.shape
        keys = queries if key is None else key.shape[1]
        return keras.KerasTensor((batch, heads, queries, keys), dtype="float32")

    def _check(self, query, key, query_positions, key_positions):
        key = query if key is None else key
        checks.positions("query_positions", query_positions, query)
        checks.positions("key_positions", key_positions, key)


def batch_of_times(positions):
    """Converts times `(T,)` or `(B, T)`, or `None`, to float32 `(B or 1, T)`."""
    if positions is None:
        return None
    positions = ops.cast(positions, "float32")
    return positions[None] if len(positions.shape) == 1 else positions


def times_at(given, mask=None):
    """Times as float32 `(B or 1, length)`, 0 where masked, or `None` if not given."""
    times = batch_of_times(given)
    return None if times is None else hide_padding(times, mask)
