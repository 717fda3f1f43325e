"""Squared distances of a tile of queries and a tile of keys, in float32.

A distance is a value: equal distances compute the same. `prepare` transforms queries
`(B, T, H, D)` and keys `(B, S, H, D)`, once for each token. A call takes a tile of the
results, `(g, t, ...)` and `(g, ..., S)`, and returns `r^2`, `(g, t, S)`, which rounding
may make slightly negative. `width` says how many numbers it holds for a pair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops.softmax.scores import distance_vectors
from keras_twa.ops.softmax.scores import inner_product

# Below this, a series gives the squared hyperbolic distance to the last digit.
NEAR = 0.1


@dataclass(frozen=True)
class Euclidean:
    """`r^2 = |q - k|^2`."""

    def prepare(self, query, key):
        return distance_vectors(query, key)

    def width(self, dim):
        return 1

    def __call__(self, query, key):
        return inner_product(query, key)


@dataclass(frozen=True)
class Manhattan:
    """`r = sum_c |q_c - k_c|`. Where channels are equal, their derivative is 0."""

    def prepare(self, query, key):
        return ops.cast(query, "float32"), ops.cast(key, "float32")

    def width(self, dim):
        return dim

    def __call__(self, query, key):
        # (g, t, D, 1) and (g, 1, D, S)
        apart = ops.absolute(query[..., None] - key[:, None])
        return ops.square(ops.sum(apart, axis=2))


@dataclass(frozen=True)
class Hyperbolic:
    """`r = arccosh(-<q, k>)`, the distance of two points of a hyperboloid.

    A vector `x` becomes the point `(sqrt(1 + |x|^2), x)`, and
    `-<q, k> = q_0 k_0 - q . k >= 1` (the Lorentz model, Nickel and Kiela 2018,
    https://arxiv.org/abs/1806.03417). So a pair costs one inner product. Near the edge
    of a Poincare ball, the same distance would divide by differences near 0.
    """

    def prepare(self, query, key):
        query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
        query_time, key_time = _time(query), _time(key)
        one = ops.ones_like
        query = [-query, query_time, -one(query_time)]
        key = [key, key_time, one(key_time)]
        return ops.concatenate(query, axis=-1), ops.concatenate(key, axis=-1)

    def width(self, dim):
        return 1

    def __call__(self, query, key):
        excess = inner_product(query, key)
        # arccosh has no derivative at 1, but its square has.
        x = ops.minimum(excess, NEAR)
        near = x * (2.0 + x * (-1 / 3 + x * (4 / 45 + x * (-1 / 35))))
        x = ops.maximum(excess, NEAR)
        far = ops.square(ops.log1p(x + ops.sqrt(x * (x + 2.0))))
        return ops.where(ops.less(excess, NEAR), near, far)


@dataclass(frozen=True)
class Custom:
    """`r^2` by a function of a tile of queries and one of keys.

    Args:
        function: Function from float32 `(g, t, D)` and `(g, D, S)` to `(g, t, S)`;
            hashable.
    """

    function: Callable[[Any, Any], Any]

    def prepare(self, query, key):
        return ops.cast(query, "float32"), ops.cast(key, "float32")

    def width(self, dim):
        return dim

    def __call__(self, query, key):
        found = ops.cast(self.function(query, key), "float32")
        expected, shape = (*query.shape[:2], key.shape[2]), tuple(found.shape)
        fits = len(shape) == 3 and all(
            a is None or b is None or a == b
            for a, b in zip(shape, expected, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`metric` must return r^2 for each pair, here {expected}, for queries "
                f"{tuple(query.shape)} and keys {tuple(key.shape)}. "
                f"Received: a result of shape {shape}"
            )
        return found


def _time(x):
    return ops.sqrt(1.0 + ops.sum(ops.square(x), axis=-1, keepdims=True))
