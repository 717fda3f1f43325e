"""Transformer-XL's attention: scores of contents plus scores of relative positions."""

import math
from dataclasses import replace

from keras import ops

from keras_twa.masks import past
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.softmax.fused import dot_product_attention
from keras_twa.ops.softmax.scores import earliest
from keras_twa.ops.softmax.scores import times_of

LONGEST = 10_000.0
# Up to this many pairs, a mask of them is cheaper than leaving the fused kernel.
MOST_PAIRS = 2**22


@takes_empty(
    queries=("query", "query_positions"), keys=("key", "value", "key_positions")
)
def relative_attention(
    query,
    key,
    value,
    content_bias,
    position_bias,
    position_kernel,
    mask,
    query_positions=None,
    key_positions=None,
    dropout=None,
    return_weights=False,
):
    """Computes `softmax(((q_i + u) . k_j + (q_i + v) . W R(t_i - t_j)) / sqrt(D)) v_j`.

    `R(t)` holds the sines and cosines of `t` at P / 2 rates. The sine and cosine of a
    difference are sums of products of sines and cosines of its terms. So
    `(W^T (q_i + v)) . R(t_i - t_j)` is an inner product of a vector for `i` and a
    vector for `j`, which become further channels of queries and keys. No score is
    computed twice, and none is shifted.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        content_bias: u, `(H, D)`.
        position_bias: v, `(H, D)`.
        position_kernel: W, `(P, H, D)` with an even P.
        mask: An `AttentionMask`.
        query_positions: Times of the queries, float32 `(B or 1, T)`, or `None` for
            0, 1, 2, ...
        key_positions: Times of the keys, `(B or 1, S)`, or `None`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    num_queries, num_keys = ops.shape(query)[1], ops.shape(key)[1]
    query_times = times_of(query_positions, num_queries)
    key_times = times_of(key_positions, num_keys)
    if key_positions is not None:
        # Only lags count. Relative to the first key, angles are small and accurate.
        first = earliest(key_times, mask.keys)
        query_times, key_times = query_times - first, key_times - first
    scale = float(query.shape[-1]) ** -0.5
    query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    content = query + ops.cast(content_bias, "float32")
    position = query + ops.cast(position_bias, "float32")
    # b: batch, t: time, h: heads, d: width of a head, p: rates.
    position = ops.einsum(
        "bthd,phd->bthp", position, ops.cast(position_kernel, "float32")
    )
    waves = sinusoids(key_times, position_kernel.shape[0])[:, :, None]
    waves = ops.broadcast_to(waves, (*ops.shape(key)[:3], position_kernel.shape[0]))
    return dot_product_attention(
        ops.concatenate([content, turn(position, query_times)], axis=-1),
        ops.concatenate([key, waves], axis=-1),
        value,
        _for_the_fused_kernel(mask, num_queries, num_keys),
        scale=scale,
        dropout=dropout,
        return_weights=return_weights,
    )


def sinusoids(times, dim):
    """The sines of times at `dim / 2` rates, followed by the cosines.

    Args:
        times: Float32 `(...)`.
        dim: An even number.

    Returns:
        Float32 `(..., dim)`.
    """
    rates = ops.arange(0, dim // 2, dtype="float32") * (-2.0 * math.log(LONGEST) / dim)
    angles = times[..., None] * ops.exp(rates)
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)


def turn(x, times):
    """Turns `x` so that `turn(x, t) . sinusoids(s) == x . sinusoids(t - s)`.

    Args:
        x: Float32 `(B, T, H, P)`.
        times: Float32 `(B or 1, T)`.

    Returns:
        Float32 `(B, T, H, P)`.
    """
    of_sine, of_cosine = ops.split(x, 2, axis=-1)
    waves = sinusoids(times, x.shape[-1])[:, :, None]
    sine, cosine = ops.split(waves, 2, axis=-1)
    return ops.concatenate(
        [
            of_cosine * sine - of_sine * cosine,
            of_sine * sine + of_cosine * cosine,
        ],
        axis=-1,
    )


def _for_the_fused_kernel(mask, num_queries, num_keys):
    """The mask, with the causal rule as a mask of pairs if the kernel needs that.

    The kernel's own causal rule requires T = S.
    """
    known = isinstance(num_queries, int) and isinstance(num_keys, int)
    if not mask.causal or mask.pairs is not None or not known:
        return mask
    if num_queries == num_keys or num_queries * num_keys > MOST_PAIRS:
        return mask
    queries = ops.arange(0, num_queries, dtype="int32")
    pairs = past(queries, num_queries, num_keys)[None, None]
    return replace(mask, causal=False, pairs=pairs)
