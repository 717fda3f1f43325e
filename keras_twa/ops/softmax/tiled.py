"""Softmax attention for any score function, in memory linear in the length.

The scores of all pairs are never held at once. Work is cut into tiles: a few
queries of one head (or, for short sequences, many heads at once) against all
keys. The backward pass recomputes each tile, so nothing of size T x S is kept for it
either.

The idea of recomputing instead of storing is that of FlashAttention (Dao et al.
2022, https://arxiv.org/abs/2205.14135), as is the backward pass from the output and
the logarithm of its denominator; Rabe and Staats 2021
(https://arxiv.org/abs/2112.05682) cut the queries in the same way.
"""

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.backend.limits import LEAST_LOGIT
from keras_twa.ops.backend.limits import LEAST_TOTAL
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.rows import as_keys
from keras_twa.ops.rows import as_lags
from keras_twa.ops.rows import as_queries
from keras_twa.ops.rows import from_rows
from keras_twa.ops.softmax import flex
from keras_twa.ops.softmax.rules import Rules
from keras_twa.ops.softmax.tile_keys import by_lag
from keras_twa.ops.softmax.tile_loop import attend_in_tiles

# Causal attention cuts long sequences into this many spans of queries, each with the
# keys that it can see: 8 spans leave 56 % of the scores; the minimum is one half.
CAUSAL_SPANS = 8
LEAST_SPAN = 256


@takes_empty()
def tiled_attention(
    score,
    query,
    key,
    value,
    mask=None,
    dropout=None,
    return_weights=False,
    parameters=(),
    lags=None,
    sink=None,
    width=1,
):
    """Computes `softmax(score(query, key)) value` tile by tile.

    A query that sees no key gets an output of zero.

    Args:
        score: Function from a tile of queries and one of keys to float32 logits
            `(g, t, S)`. It gets dictionaries with the names of `query` and `key`, and
            `parameters`. Tensors of queries arrive as `(g, t, ...)` and those of keys
            as `(g, ..., S)`, with the keys last; the `g` rows are pairs of a batch
            element and a head. Every tensor that needs a gradient must come in one of
            these ways.
        query: Dictionary of floating tensors `(B or 1, T, H or 1, ...)`.
        key: Dictionary of floating tensors `(B or 1, S, H or 1, ...)`, finite wherever
            `mask` hides a key.
        value: `(B, S, H, D)`, finite likewise.
        mask: An `AttentionMask`, or `None` to attend everywhere.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.
        parameters: Floating tensors of any shape, which `score` gets undivided.
        lags: Dictionary of constants `(H, T + S - 1)`, or `None`: numbers that depend
            only on the distance of query `i` and key `j`, for each `i - j` from
            -(S - 1) to T - 1. `score` gets them with the queries, as `(g, t, S)`.
        sink: Logits `(H,)` of one more key, which takes weight but has no value, or
            `None`.
        width: How many numbers the score holds for a pair. Tiles are smaller by this
            factor.

    Returns:
        The output `(B, T, H, D)` in the dtype of `value`, and with
        `return_weights` the weights `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    packed = mask.query_segments is not None
    options = dropout, return_weights, sink, packed
    if route(score, query, key, value, *options) == "flex":
        return flex.flex_attention(score, query, key, value, mask, lags)
    batch, num_keys, heads, _ = ops.shape(value)
    queries = {name: as_queries(x, batch, heads) for name, x in query.items()}
    keys = {name: as_keys(x, batch, heads) for name, x in key.items()}
    values = as_keys(value, batch, heads)
    num_queries = _length(queries, 1)
    rules = Rules.from_mask(mask, batch, heads, num_queries, num_keys, dropout)
    lags = lags or {}
    if return_weights:
        lags = {
            name: by_lag(as_lags(x, batch), num_queries, num_keys)
            for name, x in lags.items()
        }
        queries |= lags
        output, log_total, weights = _all_at_once(
            score, queries, keys, values, rules, parameters
        )
    else:
        weights, tensors = None, (queries, keys, values, rules, parameters)
        output, log_total = _in_spans(score, *tensors, lags=lags, width=width)
    if sink is not None:
        share = share_beside(sink, log_total, batch)
        output = output * share
        weights = None if weights is None else weights * share
    output = ops.cast(from_rows(output, batch, heads), value.dtype)
    output = hide_padding(output, mask.queries)
    if not return_weights:
        return output
    weights = ops.reshape(weights, (batch, heads, num_queries, num_keys))
    if mask.queries is not None:
        weights = ops.where(mask.queries[:, None, :, None], weights, 0.0)
    return output, weights


def route(
    score,
    query,
    key,
    value,
    dropout=None,
    return_weights=False,
    sink=None,
    packed=False,
):
    """Names the route of `tiled_attention`: "flex" or "tiled".

    The backend's kernel for forces runs on GPUs only, cannot return or drop weights,
    and supports neither sinks nor packed rows.
    """
    if packed or dropout is not None or return_weights or sink is not None:
        return "tiled"
    return "flex" if flex.fits(score, query, key, value) else "tiled"


def share_beside(sink, log_total, batch):
    """The share of weight that sinks `(H,)` leave to the keys: `(B * H, T, 1)`."""
    sink = ops.tile(ops.cast(sink, "float32"), (batch,))[:, None, None]
    return ops.sigmoid(log_total - sink)


def _in_spans(score, query, key, value, rules, parameters, lags, width):
    """Computes what `attend_in_tiles` does, and skips most later keys if causal."""
    num_queries, num_keys = _length(query, 1), ops.shape(value)[-1]
    spans = 1
    known = isinstance(num_queries, int) and isinstance(num_keys, int)
    # In packed rows, each tile has few keys anyway.
    square = known and num_queries == num_keys and not rules.in_order
    if rules.causal and square:
        spans = max(1, min(CAUSAL_SPANS, num_keys // LEAST_SPAN))
    if spans == 1:
        tensors = (query, key, value, rules, parameters)
        return attend_in_tiles(score, *tensors, lags=lags, width=width)
    parts = []
    for span in range(spans):
        first = num_queries * span // spans
        end = num_queries * (span + 1) // spans
        part = attend_in_tiles(
            score,
            {name: x[:, first:end] for name, x in query.items()},
            {name: x[..., :end] for name, x in key.items()},
            value[..., :end],
            rules.of_span(first, end),
            parameters,
            lags={
                name: x[:, num_keys + first - end : num_keys + end - 1]
                for name, x in lags.items()
            },
            width=width,
        )
        parts.append(part)
    return tuple(ops.concatenate(x, axis=1) for x in zip(*parts, strict=True))


def _all_at_once(score, query, key, value, rules, parameters):
    """Computes what `attend_in_tiles` does, and the weights `(rows, T, S)`."""
    rows = ops.arange(0, ops.shape(value)[0], dtype="int32")
    queries = ops.arange(0, _length(query, 1), dtype="int32")
    keys = ops.arange(0, ops.shape(value)[-1], dtype="int32")[None]
    logits = score(query, key, *parameters)
    logits = rules.hide(logits, rows, queries, keys, rules.key_mask)
    highest = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    highest = ops.maximum(highest, LEAST_LOGIT)
    weights = ops.exp(logits - highest)
    total = ops.maximum(ops.sum(weights, axis=-1, keepdims=True), LEAST_TOTAL)
    weights = weights / total
    mixed = weights
    if rules.dropout is not None:
        kept = rules.dropout.kept(rules.dropout.query_bits(rows, queries), keys)
        mixed = backend.keep(weights, kept) * rules.dropout.scale
    output = ops.matmul(mixed, ops.swapaxes(value, -1, -2))
    return output, highest + ops.log(total), weights


def _length(tensors, axis):
    return ops.shape(next(iter(tensors.values())))[axis]
