"""Attention with scores that fade with time, by the cheapest accurate route.

A score multiplied by `gamma^|i - j|` goes to zero, and a far key keeps the weight
`exp(0) = 1`: all far keys together are a plain mean, which needs no scores. If
`|i - j| log(gamma)` is added instead, far keys get no weight. So each tile of queries
computes the scores of nearby keys only, in time linear in the length. A causal discount
that is added to an inner product is a bias on the keys, which the fused kernel
supports.
"""

import math
from dataclasses import replace

import numpy as np
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops.backend.limits import LEAST_LOGIT
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.rows import as_keys
from keras_twa.ops.rows import as_queries
from keras_twa.ops.rows import from_rows
from keras_twa.ops.softmax.fused import dot_product_attention
from keras_twa.ops.softmax.rules import Rules
from keras_twa.ops.softmax.scores import Discounted
from keras_twa.ops.softmax.scores import InnerProduct
from keras_twa.ops.softmax.scores import times_of
from keras_twa.ops.softmax.tile_keys import Window
from keras_twa.ops.softmax.tile_keys import window_queries
from keras_twa.ops.softmax.tile_loop import attend_in_tiles
from keras_twa.ops.softmax.tile_loop import merge
from keras_twa.ops.softmax.tiled import share_beside
from keras_twa.ops.softmax.tiled import tiled_attention

# A key is far where a multiplied discount reduces a score of 1000 to less than 1e-6, or
# where an added one subtracts 128. In float32, this is exact for scores up to 1000, and
# for scores at most 100 apart.
LOG_FACTOR, LOG_TERM = math.log(1e-6 / 1e3), -128.0
# As a bias on the keys, a larger total discount would lose digits.
MOST_BIAS = 64.0


@takes_empty(
    queries=("query", "query_positions"), keys=("key", "value", "key_positions")
)
def discounted_attention(
    score,
    query,
    key,
    value,
    log_discounts,
    discounts=None,
    adds=False,
    query_positions=None,
    key_positions=None,
    mask=None,
    dropout=None,
    return_weights=False,
    width=1,
):
    """Computes softmax attention whose scores fade with time, at several timescales.

    Args:
        score: The score without the discount; see `tiled_attention`.
        query: Dictionary of tensors `(B or 1, T, N * H or 1, ...)`, with the H heads of
            the first of N discounts first.
        key: Dictionary of tensors `(B or 1, S, N * H or 1, ...)`.
        value: `(B, S, N * H, D)`.
        log_discounts: The logarithms of the N discounts, float32 `(N,)`.
        discounts: The same discounts as N Python numbers, if they are constant.
        adds: Whether `|t_i - t_j| log(gamma)` is added to the score, in place of the
            factor `gamma^|t_i - t_j|`.
        query_positions: Float32 `(B or 1, T)`, or `None` for 0, 1, 2, ...
        key_positions: Float32 `(B or 1, S)`, or `None`.
        mask: An `AttentionMask`, or `None`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.
        width: How many numbers the score holds for a pair; see `tiled_attention`.

    Returns:
        The output `(B, T, N * H, D)`, and with `return_weights` the weights
        `(B, N * H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    num_queries, num_keys = next(iter(query.values())).shape[1], value.shape[1]
    count = log_discounts.shape[0]
    heads = value.shape[2] // count
    routes = ["tiled"] * count
    steps = query_positions is None and key_positions is None
    # Windows have tiles of a fixed size, too large for several numbers per pair.
    if steps and discounts is not None and not return_weights and width == 1:
        plain = isinstance(score, InnerProduct)
        routes = [
            route(gamma, adds, plain, num_queries, num_keys, mask, dropout)
            for gamma in discounts
        ]
    times = {
        "query": times_of(query_positions, ops.shape(next(iter(query.values())))[1]),
        "key": times_of(key_positions, ops.shape(value)[1]),
    }

    def attend(scales, way):
        """The heads of some timescales, `(B, T, len(scales) * H, D)`."""
        queries = {name: _heads_of(scales, x, heads) for name, x in query.items()}
        keys = {name: _heads_of(scales, x, heads) for name, x in key.items()}
        values = _heads_of(scales, value, heads)
        logs = ops.stack([log_discounts[i] for i in scales])
        logs = ops.broadcast_to(logs[:, None], (len(scales), heads))
        logs = ops.reshape(logs, (1, 1, -1))
        if way == "folded":
            # The query's own time is the same for all keys, and cancels.
            bias = (times["key"] - (num_keys - 1.0))[..., None] * -logs
            return dot_product_attention(
                queries["query"], keys["key"], values, mask, bias, 1.0, dropout
            )
        faded, lags = Discounted(score, adds), {}
        if steps and discounts is not None:
            counts = (ops.shape(times[side])[1] for side in ("query", "key"))
            lags = {"fade": faded.fade(_distances(*counts), logs[0, 0, :, None])}
        else:
            queries["time"] = times["query"][..., None]
            queries["log_discount"] = ops.broadcast_to(
                logs, (1, ops.shape(times["query"])[1], len(scales) * heads)
            )
            keys["time"] = times["key"][..., None]
        if way == "tiled":
            return tiled_attention(
                faded,
                queries,
                keys,
                values,
                mask,
                dropout,
                return_weights,
                lags=lags,
                width=width,
            )
        (scale,) = scales
        window = near_window(discounts[scale], adds, mask.causal)
        visible = mask
        if adds and mask.causal:
            # The lag also determines which keys are later.
            lags["fade"] = _without_future(lags["fade"], num_keys)
            visible = replace(mask, causal=False)
        return windowed_attention(faded, queries, keys, values, window, visible, lags)

    tiled = [i for i, way in enumerate(routes) if way == "tiled"]
    if len(tiled) == count:
        return attend(tiled, "tiled")
    outputs = {i: attend([i], way) for i, way in enumerate(routes) if way != "tiled"}
    if tiled:
        together = attend(tiled, "tiled")
        for place, i in enumerate(tiled):
            outputs[i] = _heads_of([place], together, heads)
    return ops.concatenate([outputs[i] for i in range(count)], axis=2)


def route(discount, adds, plain, num_queries, num_keys, mask, dropout=None):
    """Names the route of one timescale: "folded", "windowed" or "tiled".

    Args:
        discount: Gamma, a Python number in (0, 1).
        adds: Whether the discount is added to the score.
        plain: Whether the score is an inner product.
        num_queries: T, or `None` if unknown.
        num_keys: S, or `None` if unknown.
        mask: An `AttentionMask`.
        dropout: A `WeightDropout`, or `None`.
    """
    if num_queries is None or num_queries != num_keys:
        return "tiled"
    folds = adds and plain and mask.causal
    if folds and -math.log(discount) * num_keys <= MOST_BIAS:
        return "folded"
    if mask.pairs is not None or dropout is not None:
        return "tiled"
    near = near_window(discount, adds, mask.causal).num_keys
    return "windowed" if 2 * near <= num_keys else "tiled"


def near_window(discount, adds, causal):
    """The `Window` outside of which a discounted score is negligible."""
    reach = (LOG_TERM if adds else LOG_FACTOR) / math.log(discount)
    queries = window_queries(reach / 4)
    # Whole tiles, so that the far keys are whole tiles, too.
    before = queries * math.ceil(reach / queries)
    return Window(queries, before, 0 if causal else before)


def _distances(num_queries, num_keys):
    """`|i - j|` for each lag `i - j`, as `tiled_attention` orders them: `(1, lags)`."""
    lags = ops.arange(0, num_queries + num_keys - 1, dtype="float32")
    return ops.absolute(lags - ops.cast(num_keys - 1, "float32"))[None]


def _without_future(lags, num_keys):
    """Terms added to the logits, and `-inf` where the key is after the query."""
    past = ops.arange(0, lags.shape[1]) >= num_keys - 1
    return ops.where(past, lags, -math.inf)


def _heads_of(scales, x, heads):
    """The heads of some timescales, out of `(B, T, N * H or 1, ...)`."""
    if x.shape[2] == 1 or x.shape[2] == len(scales) * heads:
        return x
    spans = [x[:, :, i * heads : (i + 1) * heads] for i in scales]
    return spans[0] if len(spans) == 1 else ops.concatenate(spans, axis=2)


def windowed_attention(score, query, key, value, window, mask, lags, sink=None):
    """Computes what `tiled_attention` does, for a score that vanishes beyond a window.

    Args:
        score: A `Discounted`.
        query: Dictionary of tensors `(B or 1, T, H or 1, ...)`.
        key: Dictionary of tensors `(B or 1, T, H or 1, ...)`.
        value: `(B, T, H, D)`.
        window: A `Window`.
        mask: An `AttentionMask` without pairs.
        lags: Dictionary of constants `(H, 2 T - 1)`; see `tiled_attention`.
        sink: Logits `(H,)`, or `None`; likewise. Only for discounts that are added.

    Returns:
        `(B, T, H, D)` in the dtype of `value`.
    """
    batch, length, heads, _ = ops.shape(value)
    rules = Rules.from_mask(mask, batch, heads, length, length)
    values = as_keys(value, batch, heads)
    near, log_near = attend_in_tiles(
        score,
        {name: as_queries(x, batch, heads) for name, x in query.items()},
        {name: as_keys(x, batch, heads) for name, x in key.items()},
        values,
        rules,
        window=window,
        lags=lags,
    )
    output = near
    if not score.adds:
        far, log_far = _far_field(values, rules.key_mask, window, mask.causal)
        output = merge(near, log_near, far, log_far)
    if sink is not None:
        output = output * share_beside(sink, log_near, batch)
    output = ops.cast(from_rows(output, batch, heads), value.dtype)
    return hide_padding(output, mask.queries)


def _far_field(value, key_mask, window, causal):
    """Mean of the values beyond each query's window, and the log of their number.

    Args:
        value: `(rows, D, S)`.
        key_mask: Boolean `(rows, S)`, or `None`.
        window: A `Window`.
        causal: Whether only earlier keys count.

    Returns:
        `(rows, S, D)` and `(rows, S, 1)`.
    """
    rows, dim, length = ops.shape(value)
    if key_mask is None:
        real = ops.ones((rows, 1, length))
    else:
        real = ops.cast(key_mask[:, None, :], "float32")
    tiles = -(-length // window.queries)
    missing = tiles * window.queries - length
    counted = ops.concatenate([value * real, real], axis=1)
    counted = ops.concatenate([counted, ops.zeros((rows, dim + 1, missing))], axis=-1)
    by_tile = ops.reshape(counted, (rows, dim + 1, tiles, window.queries))
    sums = ops.matmul(ops.sum(by_tile, axis=-1), _is_far(tiles, window, causal))
    sums = ops.broadcast_to(sums[..., None], (rows, dim + 1, tiles, window.queries))
    sums = ops.reshape(sums, (rows, dim + 1, -1))[..., :length]
    sums = ops.swapaxes(sums, 1, 2)
    count = sums[..., dim:]
    # As for the near field, the log is about -1e30 where no key is visible.
    log_count = ops.where(
        ops.greater(count, 0.5), ops.log(ops.maximum(count, 0.5)), LEAST_LOGIT
    )
    return sums[..., :dim] / ops.maximum(count, 1.0), log_count


def _is_far(tiles, window, causal):
    """1 where the keys of a tile are beyond the window of another tile's queries."""
    ahead = np.arange(tiles)[None, :] - np.arange(tiles)[:, None]
    far = ahead > window.before // window.queries
    if not causal:
        far = far | (-ahead > window.after // window.queries)
    return ops.convert_to_tensor(far.astype("float32"))
