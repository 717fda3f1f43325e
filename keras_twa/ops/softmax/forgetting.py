"""Softmax attention whose scores decrease with the gates between query and key."""

from dataclasses import dataclass

from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.softmax.biases import PairBias
from keras_twa.ops.softmax.biases import biased
from keras_twa.ops.softmax.running_sum import running_sum
from keras_twa.ops.softmax.scores import InnerProduct
from keras_twa.ops.softmax.scores import lag
from keras_twa.ops.softmax.tiled import tiled_attention


@takes_empty(keys=("key", "value", "log_gates"))
def forgetting_attention(
    query,
    key,
    value,
    log_gates,
    mask=None,
    dropout=None,
    return_weights=False,
    pair_bias=None,
):
    """Computes `softmax(q_i . k_j / sqrt(D) + c_i - c_j) v_j`.

    `c_i` is the sum of the logarithms of the gates up to step `i`.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        log_gates: The logarithms of the gates of the S steps, float32 `(B, S, H)`, not
            positive. Those of padding are ignored.
        mask: An `AttentionMask`, or `None`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.
        pair_bias: A `PairBias` added to the logits, or `None`.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    scale = float(query.shape[-1]) ** -0.5
    queries = {"query": ops.cast(query, "float32") * scale}
    score, queries, keys = biased(InnerProduct(), queries, {"key": key}, pair_bias)
    gates = _between(hide_padding(log_gates, mask.keys), mask, ops.shape(query)[1])
    score, queries, keys = biased(score, queries, keys, gates)
    return tiled_attention(score, queries, keys, value, mask, dropout, return_weights)


def _between(log_gates, mask, num_queries):
    """The bias `c_i - c_j`.

    `c_i` is the same for all keys, so it does not change the softmax and needs no
    gradient. It keeps the terms added to the scores of near keys small.
    """
    keys = dict(zip(("high", "low"), running_sum(log_gates), strict=True))
    batch, num_keys = ops.shape(log_gates)[:2]
    last = _last_seen(mask, batch, num_keys, num_queries)
    queries = {name: ops.stop_gradient(_at(x, last)) for name, x in keys.items()}
    return PairBias(Between(), queries, keys)


def _last_seen(mask, batch, num_keys, num_queries):
    """The last key that each query may see, int32 `(B, T)`."""
    if mask.pairs is None or mask.causal:
        # A single query with a partly filled cache is aligned with the end of it: all
        # gates after the query's own are padding, and are ignored.
        last = ops.arange(0, num_queries, dtype="int32") + (num_keys - num_queries)
        # With more queries than keys, the first ones see none.
        last = ops.maximum(last, 0)[None]
    else:
        index = ops.arange(0, num_keys, dtype="int32")
        last = ops.max(ops.where(ops.any(mask.pairs, axis=1), index, 0), axis=-1)
    return ops.broadcast_to(last, (batch, num_queries))


def _at(x, places):
    """The steps of `(B, S, H)` at indices `(B, T)`."""
    return ops.take_along_axis(x, places[:, :, None], axis=1)


@dataclass(frozen=True)
class Between:
    """`c_i - c_j`, from sums in two parts, "high" and "low"; see `running_sum`."""

    def __call__(self, query, key):
        high, low = (lag(query[part], key[part]) for part in ("high", "low"))
        return high + low
