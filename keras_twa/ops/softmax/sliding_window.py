"""Dot-product attention to nearby keys, with all its options."""

from dataclasses import replace

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.softmax.biases import biased
from keras_twa.ops.softmax.discounted import windowed_attention
from keras_twa.ops.softmax.fused import dot_product_attention
from keras_twa.ops.softmax.local import fade_of
from keras_twa.ops.softmax.local import route
from keras_twa.ops.softmax.local import tile_window
from keras_twa.ops.softmax.scores import Discounted
from keras_twa.ops.softmax.scores import InnerProduct
from keras_twa.ops.softmax.tiled import tiled_attention


@takes_empty()
def near_attention(
    query,
    key,
    value,
    window,
    mask=None,
    scale=None,
    dropout=None,
    return_weights=False,
    sink=None,
    cap=None,
    pair_bias=None,
    fused=True,
):
    """Computes what `dot_product_attention` does, over the keys of a window.

    Query `i` sees key `j` where `|i - j| < window`: the first query is aligned with the
    first key. Under a causal mask, the last query is aligned with the last key:
    `0 <= i + S - T - j < window`. In both cases, padding counts.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        window: How many steps back a query sees, including itself, and as many ahead
            unless the mask is causal.
        mask: An `AttentionMask`, or `None`.
        scale: See `dot_product_attention`, also for all arguments below.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.
        sink: Logits `(H,)`, or `None`.
        cap: Bound of the logits, or `None`.
        pair_bias: A `PairBias`, or `None`.
        fused: Whether the backend's own kernel may be used, for a window that hides
            nothing.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    num_queries, num_keys = ops.shape(query)[1], ops.shape(key)[1]
    if _sees_all(num_queries, num_keys, window):
        return dot_product_attention(
            query,
            key,
            value,
            mask,
            None,
            scale,
            dropout,
            return_weights,
            sink,
            cap,
            pair_bias,
            fused,
        )
    way = route(num_queries, num_keys, window, mask, dropout, return_weights)
    scale = float(query.shape[-1]) ** -0.5 if scale is None else scale
    queries = {"query": ops.cast(query, "float32") * scale}
    score, queries, keys = biased(InnerProduct(cap), queries, {"key": key}, pair_bias)
    score = Discounted(score, adds=True)
    causal, heads = mask.causal, query.shape[2]
    fade = fade_of(num_queries, num_keys, window, causal, heads, at_end=causal)
    visible = replace(mask, causal=False)
    if way == "windowed":
        tile = tile_window(window, mask.causal)
        return windowed_attention(
            score, queries, keys, value, tile, visible, fade, sink
        )
    return tiled_attention(
        score,
        queries,
        keys,
        value,
        visible,
        dropout,
        return_weights,
        lags=fade,
        sink=sink,
    )


def _sees_all(num_queries, num_keys, window):
    """Whether a window is known to hide nothing."""
    known = isinstance(num_queries, int) and isinstance(num_keys, int)
    return known and window >= max(num_queries, num_keys)
