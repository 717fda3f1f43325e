"""Dot-product attention, by the backend's own kernel wherever that is fastest.

What would otherwise require a slower kernel is folded into the inputs:

- a bias on the keys becomes one more channel of the keys (with a one in the
  queries), so it keeps its gradient;
- padding under a causal mask, or for a kernel without a mask of keys, becomes such a
  bias, with the hidden values set to zero;
- a sink becomes one more key, with such a bias and a value of zero.
"""

import itertools

import keras
import numpy as np
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.softmax.biases import biased
from keras_twa.ops.softmax.scores import InnerProduct
from keras_twa.ops.softmax.tiled import tiled_attention

# A bias on the keys takes this many further channels in half precision.
MOST_CHANNELS = 2


@takes_empty(keys=("key", "value", "key_bias"))
def dot_product_attention(
    query,
    key,
    value,
    mask=None,
    key_bias=None,
    scale=None,
    dropout=None,
    return_weights=False,
    sink=None,
    cap=None,
    pair_bias=None,
    fused=True,
):
    """Computes `softmax(scale * q.k + bias) v`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        mask: An `AttentionMask`, or `None`.
        key_bias: Float32 `(B or 1, S, H)` added to the logits of each key, or `None`.
        scale: Factor on the logits. Defaults to `1 / sqrt(D)`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.
        sink: Logits `(H,)` of one more key, which takes weight but has no value, or
            `None`.
        cap: Bounds `x = scale * q.k`, before the bias, as `cap * tanh(x / cap)`; or
            `None`.
        pair_bias: A `PairBias` added to the logits, or `None`.
        fused: Whether the backend's own kernel may be used.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    scale = float(query.shape[-1]) ** -0.5 if scale is None else scale
    # A bias on the keys omits a constant per query, which changes the weight of a sink.
    folds = mask.causal and sink is None
    if folds and pair_bias is not None and pair_bias.on_keys is not None:
        on_keys, pair_bias = pair_bias.on_keys, None
        key_bias = on_keys if key_bias is None else key_bias + on_keys
    options = (key_bias, dropout, return_weights, sink, cap)
    way = route(query, key, value, mask, *options)
    if fused and way == "by segment" and pair_bias is None:
        return _by_segment(query, key, value, mask, key_bias, scale, sink)
    if fused and way == "fused" and pair_bias is None:
        if sink is not None:
            return _with_sink(query, key, value, mask, key_bias, scale, sink)
        return _fused(query, key, value, mask, key_bias, scale)

    keys = {"key": key} if key_bias is None else {"key": key, "bias": key_bias}
    queries = {"query": ops.cast(query, "float32") * scale}
    score, queries, keys = biased(InnerProduct(cap), queries, keys, pair_bias)
    return tiled_attention(
        score, queries, keys, value, mask, dropout, return_weights, sink=sink
    )


def route(
    query,
    key,
    value,
    mask,
    key_bias=None,
    dropout=None,
    return_weights=False,
    sink=None,
    cap=None,
):
    """Names the route of `dot_product_attention`: "fused", "by segment" or "tiled".

    The fused kernel cannot return or drop weights, or cap logits. Its causal flag is
    aligned top-left, which is correct only if T = S. Its other limits depend on the
    backend and the device. Packed rows need a call for each segment, which is possible
    if the segments are known before the call.
    """
    if dropout is not None or return_weights or cap is not None:
        return "tiled"
    packed = mask.query_segments is not None
    if packed and (not mask.in_order or mask.pairs is not None):
        return "tiled"
    if packed and backend.array(mask.key_segments) is None:
        return "tiled"
    square = query.shape[1] is not None and query.shape[1] == key.shape[1]
    if mask.causal and mask.pairs is None and not square:
        return "tiled"
    folded = any(x is not None for x in (key_bias, mask.keys, sink))
    width = max(query.shape[-1] + MOST_CHANNELS * folded, value.shape[-1])
    dtype = keras.backend.standardize_dtype(value.dtype)
    gpu, pairs = backend.on_gpu(value), mask.pairs is not None
    if not backend.fuses(gpu, dtype, width, pairs):
        return "tiled"
    return "by segment" if packed else "fused"


def _by_segment(query, key, value, mask, key_bias, scale, sink):
    """Packed rows: one call of the fused kernel for each segment."""
    real = None if mask.keys is None else backend.array(mask.keys)
    rows = []
    for row, segments in enumerate(np.asarray(backend.array(mask.key_segments))):
        cuts = [0, *(np.flatnonzero(np.diff(segments)) + 1), len(segments)]
        parts = []
        for first, end in itertools.pairwise(map(int, cuts)):

            def part(x, row=row, first=first, end=end):
                if x is None:
                    return None
                return x[row if x.shape[0] > 1 else 0][None, first:end]

            whole = real is None or real[row, first:end].all()
            keys = None if whole else part(mask.keys)
            seen = AttentionMask(mask.causal, part(mask.queries), keys)
            tensors = part(query), part(key), part(value), seen, part(key_bias), scale
            parts.append(
                _fused(*tensors) if sink is None else _with_sink(*tensors, sink)
            )
        rows.append(ops.concatenate(parts, axis=1))
    return ops.concatenate(rows, axis=0)


def _with_sink(query, key, value, mask, key_bias, scale, sink):
    """`_fused`, with one more key before all others, whose bias is the sink.

    The kernel's own causal rule also needs one more query before all others. There are
    then again as many queries as keys, and each query also sees the sink.
    """
    _, length, heads, _ = ops.shape(key)
    if key_bias is None:
        key_bias = ops.zeros((1, length, heads), dtype="float32")
    first = (ops.shape(key_bias)[0], 1, heads)
    sink = ops.broadcast_to(ops.cast(sink, "float32"), first)
    queries, keys, pairs = mask.queries, mask.keys, mask.pairs
    square = mask.causal and pairs is None
    if square:
        query = _led_by_zeros(query)
        queries = None if queries is None else _led_by_true(queries)
    output = _fused(
        query,
        _led_by_zeros(key),
        _led_by_zeros(value),
        AttentionMask(
            mask.causal,
            queries,
            None if keys is None else _led_by_true(keys),
            None if pairs is None else _led_by_true(pairs),
        ),
        ops.concatenate([sink, key_bias], axis=1),
        scale,
    )
    return output[:, 1:] if square else output


def _led_by_zeros(x):
    """A sequence with one more step, of zeros, before the others."""
    return ops.concatenate([ops.zeros_like(x[:, :1]), x], axis=1)


def _led_by_true(mask):
    """A mask with one more entry, `True`, before the others of its last axis."""
    return ops.concatenate([ops.ones_like(mask[..., :1]), mask], axis=-1)


def _fused(query, key, value, mask, key_bias, scale):
    value_dim = value.shape[-1]
    query, key = ops.cast(query, value.dtype), ops.cast(key, value.dtype)
    dense, causal = None, mask.causal
    value = hide_padding(value, mask.keys)
    if mask.pairs is not None:
        # The caller already holds a (T, S) mask: memory stays O(T S) with one more.
        dense, causal = (
            AttentionMask(mask.causal, None, mask.keys, mask.pairs).dense(
                ops.shape(query)[1], ops.shape(key)[1]
            ),
            False,
        )
    elif mask.keys is not None and not causal and backend.FUSED_MASKS:
        dense = mask.keys[:, None, None, :]
    elif mask.keys is not None:
        hidden = ops.where(mask.keys, 0.0, _hidden_bias(key, scale))[:, :, None]
        key_bias = hidden if key_bias is None else key_bias + hidden
    if key_bias is not None:
        query, key = _fold(query, key, key_bias, scale)
    width = max(query.shape[-1], value_dim)
    output = backend.fused_attention(
        _widen(query, width),
        _widen(key, width),
        _widen(value, width),
        dense,
        causal,
        scale,
    )[..., :value_dim]
    if mask.queries is not None:
        real = mask.queries[:, :, None, None]
        output = ops.where(real, output, ops.zeros((), dtype=output.dtype))
    return output


def _hidden_bias(key, scale):
    """A bias that makes weights zero, and stays finite when divided by the scale."""
    half = keras.backend.standardize_dtype(key.dtype) == "float16"
    return -3e4 * min(scale, 1.0) if half else -1e9


def _fold(query, key, key_bias, scale):
    """Moves a bias on the keys into further channels of queries and keys.

    In half precision, one channel would round the bias to three digits, so a second
    channel carries the rounding error.
    """
    batch, length, heads, _ = ops.shape(key)
    bias = ops.broadcast_to(ops.divide(key_bias, scale), (batch, length, heads))
    high = ops.cast(bias, key.dtype)
    channels = [high]
    if keras.backend.standardize_dtype(key.dtype) in ("float16", "bfloat16"):
        rest = ops.subtract(bias, ops.cast(high, "float32"))
        channels.append(ops.cast(rest, key.dtype))
    key = ops.concatenate([key, ops.stack(channels, axis=-1)], axis=-1)
    ones = ops.ones((*ops.shape(query)[:3], len(channels)), dtype=query.dtype)
    return ops.concatenate([query, ones], axis=-1), key


def _widen(x, width):
    missing = width - x.shape[-1]
    if missing == 0:
        return x
    # `keras.ops.pad` would make PyTorch recompile in every call.
    zeros = ops.zeros((*ops.shape(x)[:-1], missing), dtype=x.dtype)
    return ops.concatenate([x, zeros], axis=-1)
