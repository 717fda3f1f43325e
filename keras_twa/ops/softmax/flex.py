"""Attention with forces, by a kernel for any function of an inner product.

Where the backend has such a kernel ("FlexAttention", Dong et al. 2024,
https://arxiv.org/abs/2412.05496), it takes the vectors of `Force.vectors`, and computes
each score from one of their inner products. All else that a score needs is constant:
gradients reach the values and the vectors, and through the vectors the masses.
"""

import keras
from keras import ops

from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.softmax.scores import Discounted
from keras_twa.ops.softmax.scores import Force

# The kernel works on tiles of this many queries and keys.
LEAST_LENGTH = 128


def fits(score, query, key, value):
    """Whether the kernel supports this score; arguments as for `tiled_attention`."""
    if not isinstance(_law(score), Force):
        return False
    vectors = query["query"], key["key"]
    lengths = [x.shape[1] for x in vectors]
    if any(length is None or length < LEAST_LENGTH for length in lengths):
        return False
    fades = [query.get("time"), query.get("log_discount"), key.get("time")]
    if any(x is not None and backend.needs_gradient(x) for x in fades):
        return False
    dtype = keras.backend.standardize_dtype(value.dtype)
    widths = vectors[0].shape[-1], value.shape[-1]
    return backend.flexes(backend.on_gpu(value), dtype, *widths)


def flex_attention(score, query, key, value, mask, lags=None):
    """Computes what `tiled_attention` does, for a score that `fits`.

    Args:
        score: A `Force`, or a `Discounted` one.
        query: Dictionary of tensors `(B or 1, T, H or 1, ...)`.
        key: Dictionary of tensors `(B or 1, S, H or 1, ...)`.
        value: `(B, S, H, D)`.
        mask: An `AttentionMask`.
        lags: Dictionary of constants `(H, T + S - 1)`, or `None`.

    Returns:
        `(B, T, H, D)` in the dtype of `value`.
    """
    law = _law(score)
    batch, num_keys, heads, _ = ops.shape(value)
    num_queries = ops.shape(query["query"])[1]

    def constant(x, length):
        """`(B or 1, length, H or 1)` to `(B, H, length)`."""
        x = ops.broadcast_to(ops.stop_gradient(x), (batch, length, heads))
        return ops.swapaxes(x, 1, 2)

    queries, keys, floor = law.vectors(query, key)
    constants = {"floor": constant(floor[..., 0], num_queries)}
    if lags:
        constants["fade"] = lags["fade"]
    elif law is not score:
        constants["log_discount"] = constant(query["log_discount"], num_queries)
        constants["query_time"] = constant(query["time"], num_queries)
        constants["key_time"] = constant(key["time"], num_keys)
    output = backend.flex_attention(
        ops.broadcast_to(queries, (batch, num_queries, heads, queries.shape[-1])),
        ops.broadcast_to(keys, (batch, num_keys, heads, keys.shape[-1])),
        value,
        constants,
        mask,
        exponent=law.exponent,
        log=law.log,
        adds=law is not score and score.adds,
    )
    return hide_padding(output, mask.queries)


def _law(score):
    return score.score if isinstance(score, Discounted) else score
