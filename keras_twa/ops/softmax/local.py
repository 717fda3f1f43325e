"""Softmax attention to nearby keys, in time linear in length."""

import math
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.masks import real_keys
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.rows import as_keys
from keras_twa.ops.rows import as_queries
from keras_twa.ops.rows import from_rows
from keras_twa.ops.softmax.discounted import windowed_attention
from keras_twa.ops.softmax.fused import dot_product_attention
from keras_twa.ops.softmax.rules import Rules
from keras_twa.ops.softmax.rules import may_skip_pairs
from keras_twa.ops.softmax.scores import Discounted
from keras_twa.ops.softmax.scores import InnerProduct
from keras_twa.ops.softmax.scores import inner_product
from keras_twa.ops.softmax.scores import lag
from keras_twa.ops.softmax.tile_keys import Window
from keras_twa.ops.softmax.tile_keys import window_queries
from keras_twa.ops.softmax.tile_loop import attend_in_tiles
from keras_twa.ops.softmax.tile_loop import merge
from keras_twa.ops.softmax.tiled import tiled_attention

# The lag alone determines which keys are too far away or later: a score that fades at
# once.
NEAR = Discounted(InnerProduct(), adds=True)


@takes_empty()
def local_attention(
    query,
    key,
    value,
    window,
    mask=None,
    dropout=None,
    return_weights=False,
    num_global_tokens=0,
):
    """Computes `softmax(q . k / sqrt(D)) v` over the keys of a window.

    Query `i` of T sees key `j` of S where `|i + S - T - j| < window`: a window includes
    the step itself. If `mask` has `steps`, their numbers replace the indices.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        window: How many steps back a query sees, including itself, and as many ahead
            unless the mask is causal.
        mask: An `AttentionMask`, or `None`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.
        num_global_tokens: How many of the first keys that `mask` does not hide are
            visible to all queries; in packed rows, how many of each segment. Unless the
            mask is causal, these steps also see all keys, which requires S = T.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    num_queries, num_keys = ops.shape(query)[1], ops.shape(key)[1]
    way = route(num_queries, num_keys, window, mask, dropout, return_weights)
    queries = {"query": ops.cast(query, "float32") * float(query.shape[-1]) ** -0.5}
    if num_global_tokens and way == "windowed":
        return _near_and_global(queries, key, value, window, mask, num_global_tokens)
    keys, visible, fade = {"key": key}, mask, None
    score: Any = NearOrGlobal(window)
    if mask.steps is not None:
        keys["step"] = ops.cast(mask.steps, "float32")[..., None]
        queries["step"] = keys["step"][:, num_keys - num_queries :]
    else:
        # If the window is the same for all rows, it also hides later keys.
        causal = mask.causal and not num_global_tokens
        fade = fade_of(num_queries, num_keys, window, causal, query.shape[2])
        visible = replace(mask, causal=mask.causal and not causal)
        score = NearOrGlobal(None) if num_global_tokens else NEAR
    if num_global_tokens:
        real = real_keys(mask, ops.shape(key)[0], num_keys)
        if mask.key_segments is None:
            tokens = ops.any(first_real(real, num_global_tokens), axis=1)
        else:
            first = ops.less(mask.steps, num_global_tokens)
            tokens = ops.logical_and(real, first)
        keys["global"] = ops.cast(tokens, "float32")[..., None]
        if not mask.causal:
            queries["global"] = keys["global"]
    if way == "windowed":
        tile = tile_window(window, mask.causal)
        return windowed_attention(score, queries, keys, value, tile, visible, fade)
    return tiled_attention(
        score, queries, keys, value, visible, dropout, return_weights, lags=fade
    )


def route(num_queries, num_keys, window, mask, dropout=None, return_weights=False):
    """Names the route of a call: "windowed" or "tiled".

    Args:
        num_queries: T, an integer where it is known.
        num_keys: S, likewise.
        window: Number of steps.
        mask: An `AttentionMask`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Whether the weights are requested.
    """
    if not may_skip_pairs(num_queries, num_keys, mask, dropout, return_weights):
        return "tiled"
    near = tile_window(window, mask.causal).num_keys
    return "windowed" if 2 * near <= num_keys else "tiled"


def tile_window(window, causal):
    """The `Window` of a tile of queries."""
    before = window - 1
    return Window(window_queries(before), before, 0 if causal else before)


def first_real(real, count):
    """Selects the first real steps, one by one.

    Args:
        real: Boolean `(B, S)`.
        count: N.

    Returns:
        Boolean `(B, N, S)`, `True` in row `n` for the real step with `n` real ones
        before it, if there is one.
    """
    number = ops.cumsum(ops.cast(real, "int32"), axis=1)[:, None]
    wanted = ops.arange(1, count + 1, dtype="int32")[:, None]
    return ops.logical_and(real[:, None], ops.equal(number, wanted))


def chosen(select, x):
    """The steps `(B, N, ...)` of `(B, S, ...)` that `first_real` chose, else zeros."""
    # b: batch, n: number, s: step. A product with 0 and 1 is exact in any dtype.
    return ops.einsum("bns,bs...->bn...", ops.cast(select, x.dtype), x)


@dataclass(frozen=True)
class NearOrGlobal:
    """`q . k` for pairs that are near, or that include a global token.

    Keys may carry `global`: 1 for global tokens, else 0. If they do, queries may, too.

    Args:
        window: Number of steps, if queries and keys carry their `step`. If `None`,
            queries carry `fade` `(g, t, S)`: 0 for near pairs, else `-inf`.
    """

    window: int | None

    def __call__(self, query, key):
        if self.window is None:
            near = ops.greater(query["fade"], -math.inf)
        else:
            distance = ops.absolute(lag(query["step"], key["step"]))
            near = ops.less(distance, self.window)
        if "global" in key:
            token = key["global"][:, None, :]
            if "global" in query:
                token = ops.maximum(token, query["global"][..., None])
            near = ops.logical_or(near, ops.greater(token, 0.5))
        logits = inner_product(query["query"], key["key"])
        return ops.where(near, logits, -math.inf)


@dataclass(frozen=True)
class UpToCount:
    """`q . k` for the keys whose `number` is below the `count` of the query."""

    def __call__(self, query, key):
        logits = inner_product(query["query"], key["key"])
        seen = ops.less(key["number"][:, None, :], query["count"][..., None])
        return ops.where(seen, logits, -math.inf)


def _near_and_global(queries, key, value, window, mask, num_global_tokens):
    """Local attention with global tokens: attends to both, and merges the outputs.

    A causal call needs no more. Otherwise the global tokens, which are few queries,
    attend to all keys.
    """
    batch, length, heads, _ = ops.shape(value)
    real = real_keys(mask, batch, length)
    select = first_real(real, num_global_tokens)
    tokens = ops.any(select, axis=1)
    query = {name: as_queries(x, batch, heads) for name, x in queries.items()}
    # Global keys would otherwise count twice.
    local = AttentionMask(keys=ops.logical_and(real, ops.logical_not(tokens)))
    fade = fade_of(length, length, window, mask.causal, heads)
    near, log_near = attend_in_tiles(
        NEAR,
        query,
        {"key": as_keys(key, batch, heads)},
        as_keys(value, batch, heads),
        Rules.from_mask(local, batch, heads, length, length),
        window=tile_window(window, mask.causal),
        lags=fade,
    )
    count = ops.cumsum(ops.cast(real, "float32"), axis=1)
    count = count if mask.causal else ops.broadcast_to(count[:, -1:], (batch, length))
    number = ops.arange(0, num_global_tokens, dtype="float32")[None, :, None]
    far, log_far = attend_in_tiles(
        UpToCount(),
        {**query, "count": as_queries(count[..., None], batch, heads)},
        {
            "key": as_keys(chosen(select, key), batch, heads),
            "number": as_keys(number, batch, heads),
        },
        as_keys(chosen(select, value), batch, heads),
        Rules(heads),
    )
    output = from_rows(merge(near, log_near, far, log_far), batch, heads)
    output = ops.cast(output, value.dtype)
    if not mask.causal:
        seen = AttentionMask(keys=mask.keys)
        by_token = chosen(select, queries["query"])
        by_token = dot_product_attention(by_token, key, value, seen, scale=1.0)
        back = ops.swapaxes(select, 1, 2)
        output = ops.where(tokens[..., None, None], chosen(back, by_token), output)
    return hide_padding(output, mask.queries)


def fade_of(num_queries, num_keys, window, causal, heads, at_end=True):
    """A table of lags that hides the keys outside of a window.

    Args:
        num_queries: T.
        num_keys: S.
        window: Number of steps.
        causal: Whether later keys are hidden, too.
        heads: H.
        at_end: Whether the last query is aligned with the last key. If not, the first
            query is aligned with the first key.

    Returns:
        A dictionary of "fade", float32 `(H, T + S - 1)`: 0 for each lag at which a key
        is seen, else `-inf`.
    """
    beside = num_queries if at_end else num_keys
    lags = ops.arange(0, num_queries + num_keys - 1, dtype="int32") - (beside - 1)
    seen = ops.less(ops.absolute(lags), window)
    if causal:
        seen = ops.logical_and(seen, ops.greater_equal(lags, 0))
    fade = ops.where(seen, 0.0, -math.inf)
    return {"fade": ops.broadcast_to(fade[None], (heads, ops.shape(fade)[0]))}
