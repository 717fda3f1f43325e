"""Softmax attention to the keys nearby, in time linear in length."""

import math
from dataclasses import replace

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops.cuts import Window
from keras_twa.ops.discounted import windowed_attention
from keras_twa.ops.scores import Discounted
from keras_twa.ops.scores import InnerProduct
from keras_twa.ops.tiled import tiled_attention

# A tile has so many queries, more for the wider windows.
LEAST_QUERIES, MOST_QUERIES = 64, 256


def local_attention(
    query, key, value, window, mask=None, dropout=None, return_weights=False
):
    """Computes `softmax(q . k / sqrt(D)) v` over the keys of a window.

    Query `i` of T sees key `j` of S where `|i + S - T - j| < window`: a window counts
    the step itself.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        window: How many steps back a query sees, itself among them, and as many ahead
            unless the mask is causal.
        mask: An `AttentionMask`, or `None`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, at the price of holding them.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    num_queries, num_keys = ops.shape(query)[1], ops.shape(key)[1]
    queries = {"query": ops.cast(query, "float32") * float(query.shape[-1]) ** -0.5}
    # Who is too far away, or yet to come, is a matter of the lag: a score that fades
    # at once.
    score = Discounted(InnerProduct(), adds=True)
    seen = _visible_lags(num_queries, num_keys, window, mask.causal)
    fade = ops.broadcast_to(seen[None], (query.shape[2], ops.shape(seen)[0]))
    visible = replace(mask, causal=False)
    way = route(num_queries, num_keys, window, mask, dropout, return_weights)
    if way == "windowed":
        seen_by_tile = tile_window(window, mask.causal)
        return windowed_attention(
            score, queries, {"key": key}, value, seen_by_tile, visible, {"fade": fade}
        )
    return tiled_attention(
        score,
        queries,
        {"key": key},
        value,
        visible,
        dropout,
        return_weights,
        lags={"fade": fade},
    )


def route(num_queries, num_keys, window, mask, dropout=None, return_weights=False):
    """Names the way a call takes: "windowed" or "tiled".

    Args:
        num_queries: T, an integer where it is known.
        num_keys: S, likewise.
        window: Number of steps.
        mask: An `AttentionMask`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Whether the weights are asked for.
    """
    known = isinstance(num_queries, int) and isinstance(num_keys, int)
    if not (known and num_queries == num_keys) or mask.pairs is not None:
        return "tiled"
    if dropout is not None or return_weights:
        return "tiled"
    near = tile_window(window, mask.causal).num_keys
    return "windowed" if 2 * near <= num_keys else "tiled"


def tile_window(window, causal):
    """The `Window` of a tile of queries."""
    before = window - 1
    block = 2 ** max(0, round(math.log2(max(before, 1))))
    block = min(max(block, LEAST_QUERIES), MOST_QUERIES)
    return Window(block, before, 0 if causal else before)


def _visible_lags(num_queries, num_keys, window, causal):
    """0 for each lag `i - j` at which a key is seen, else `-inf`: `(T + S - 1,)`."""
    lags = ops.arange(num_queries + num_keys - 1, dtype="int32") - (num_queries - 1)
    # Counted from the end, where the last query stands beside the last key.
    seen = ops.less(ops.absolute(lags), window)
    if causal:
        seen = ops.logical_and(seen, ops.greater_equal(lags, 0))
    return ops.where(seen, 0.0, -math.inf)
