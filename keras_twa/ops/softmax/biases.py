"""Biases: terms that the times of a query and a key add to their score."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops.rows import as_keys
from keras_twa.ops.rows import as_queries
from keras_twa.ops.softmax.scores import lag


@dataclass(frozen=True)
class PairBias:
    """A term added to the score of each pair: a function, and the tensors it needs.

    Args:
        function: Function from a tile of queries and one of keys, like a score, to
            float32 `(g, t, S)`; hashable.
        query: Dictionary of float32 tensors `(B or 1, T, H or 1, ...)`.
        key: Dictionary of float32 tensors `(B or 1, S, H or 1, ...)`.
        on_keys: Float32 `(B or 1, S, H)`, or `None`: an equivalent bias on the keys in
            a causal call. It may differ by a constant for all keys that a query sees.
    """

    function: Any
    query: dict[str, Any]
    key: dict[str, Any]
    on_keys: Any = None

    def repeated(self, count):
        """The same bias, with `count` heads in place of each."""

        def repeat(x):
            return x if x is None or x.shape[2] == 1 else ops.repeat(x, count, axis=2)

        query = {name: repeat(x) for name, x in self.query.items()}
        key = {name: repeat(x) for name, x in self.key.items()}
        return PairBias(self.function, query, key, repeat(self.on_keys))

    def dense(self, batch, heads):
        """The bias of all pairs at once, float32 `(B, H, T, S)`."""
        query = {name: as_queries(x, batch, heads) for name, x in self.query.items()}
        key = {name: as_keys(x, batch, heads) for name, x in self.key.items()}
        bias = self.function(query, key)
        return ops.reshape(bias, (batch, heads, *ops.shape(bias)[1:]))


def biased(score, query, key, pair_bias):
    """Adds a bias to a score.

    Args:
        score: See `tiled_attention`.
        query: The score's tensors of queries.
        key: The score's tensors of keys.
        pair_bias: A `PairBias`, or `None`.

    Returns:
        The score with the bias, and the tensors of queries and of keys that it needs.
    """
    if pair_bias is None:
        return score, query, key
    score = Biased(score, pair_bias.function)
    return score, {**query, **pair_bias.query}, {**key, **pair_bias.key}


@dataclass(frozen=True)
class Biased:
    """A score plus a bias.

    Args:
        score: The score without the bias.
        bias: Function of queries and keys.
    """

    score: Any
    bias: Any

    def __call__(self, query, key, *parameters):
        return self.score(query, key, *parameters) + self.bias(query, key)


@dataclass(frozen=True)
class LagPenalty:
    """`-slope |t_i - t_j|`, with the `slope` of queries, `(g, t)`."""

    def __call__(self, query, key):
        distance = ops.absolute(lag(query["time"], key["time"]))
        return -query["slope"][..., None] * distance


@dataclass(frozen=True)
class LagTable:
    """The entry of a query's `table`, `(g, t, n)`, for the bucket of a lag.

    Args:
        buckets: Function from lags `t_j - t_i` to integers from 0 to n - 1; hashable.
    """

    buckets: Any

    def __call__(self, query, key):
        ahead = ops.stop_gradient(-lag(query["time"], key["time"]))
        return ops.take_along_axis(query["table"], self.buckets(ahead), axis=-1)


@dataclass(frozen=True)
class ClippedSteps:
    """Buckets of whole steps ahead, from `-most` to `most`, numbered from 0.

    Args:
        most: The largest distance that has its own bucket.
    """

    most: int

    def __call__(self, ahead):
        steps = ops.clip(ops.floor(ahead), -self.most, self.most)
        return ops.cast(steps, "int32") + self.most


@dataclass(frozen=True)
class GrowingBuckets:
    """Buckets between edges. Keys ahead have as many again, or all have the first one.

    Args:
        edges: Increasing distances: bucket `b` begins at edge `b - 1`, the first at 0.
        both_ways: Whether keys ahead have their own buckets, after the others.
    """

    edges: tuple[float, ...]
    both_ways: bool

    def __call__(self, ahead):
        distance = ops.absolute(ahead) if self.both_ways else ops.relu(-ahead)
        # TensorFlow supports flat values only.
        edges = ops.convert_to_tensor(self.edges, dtype="float32")
        bucket = ops.searchsorted(edges, ops.reshape(distance, (-1,)), side="right")
        bucket = ops.cast(ops.reshape(bucket, ops.shape(distance)), "int32")
        if not self.both_ways:
            return bucket
        return ops.where(ops.greater(ahead, 0.0), bucket + len(self.edges) + 1, bucket)
