"""Block-sparse softmax attention: each block attends to some other blocks only.

The sequence is cut into blocks. Each block of queries gathers the blocks of keys that
it sees, a slice of a few blocks at a time. Blocks of queries that see about the same
number of blocks form a group, where a hidden block pads them to the same number. Those
that see most of the sequence take the tiled kernel. The backward pass gathers again, so
that only the output and the logarithm of its denominator are kept.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import hide_padding
from keras_twa.masks import real_keys
from keras_twa.ops import backend
from keras_twa.ops.empty import takes_empty
from keras_twa.ops.rows import as_queries
from keras_twa.ops.rows import from_rows
from keras_twa.ops.softmax.fused import dot_product_attention
from keras_twa.ops.softmax.rules import may_skip_pairs
from keras_twa.ops.softmax.scores import inner_product
from keras_twa.ops.softmax.sparse_patterns import groups_of
from keras_twa.ops.softmax.tiled import tiled_attention
from keras_twa.ops.splitting import even_size

# The largest share of all scores for which blocks are gathered. Beyond it, the tiled
# kernel, which gathers nothing and skips most later keys, is as fast.
MOST_WORK, MOST_CAUSAL_WORK = 0.5, 0.25
# Number of scores in a slice.
SLICE_ELEMENTS = 2**20


@takes_empty()
def blocked_attention(
    query,
    key,
    value,
    pattern,
    block_size,
    mask=None,
    dropout=None,
    return_weights=False,
    first_query=None,
):
    """Computes `softmax(q . k / sqrt(D)) v` over the keys of some blocks.

    A block has steps with consecutive indices or, if `mask` has `steps`, consecutive
    numbers.

    Args:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`, finite wherever `mask` hides a key.
        value: `(B, S, H, E)`, finite likewise.
        pattern: Which block sees which; see `sparse_patterns.py`.
        block_size: Number of steps in a block. The last block may have fewer.
        mask: An `AttentionMask`, or `None`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, which requires holding them in memory.
        first_query: Index of the key of the first query. Defaults to S - T.

    Returns:
        The output `(B, T, H, E)`, and with `return_weights` the weights
        `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    num_queries, num_keys = ops.shape(query)[1], ops.shape(key)[1]
    query = ops.cast(query, "float32") * float(query.shape[-1]) ** -0.5
    options = pattern, block_size, mask, dropout, return_weights
    if route(num_queries, num_keys, *options) == "blocked":
        output = _in_blocks(query, key, value, pattern, block_size, mask)
        return hide_padding(output, mask.queries)
    first_query = num_keys - num_queries if first_query is None else first_query
    queries = ops.arange(0, num_queries, dtype="int32") + first_query
    keys = mask.steps
    if keys is None:
        queries, keys = queries[None], ops.arange(0, num_keys, dtype="int32")[None]
    else:
        queries = ops.take(keys, queries, axis=1)
    return tiled_attention(
        InPattern(pattern, block_size),
        {"query": query, "step": _as_step(queries)},
        {"key": key, "step": _as_step(keys)},
        value,
        mask,
        dropout,
        return_weights,
    )


def route(
    num_queries,
    num_keys,
    pattern,
    block_size,
    mask,
    dropout=None,
    return_weights=False,
):
    """Names the route of a call: "blocked" or "tiled".

    Args:
        num_queries: T, an integer where it is known.
        num_keys: S, likewise.
        pattern: Which block sees which.
        block_size: Number of steps in a block.
        mask: An `AttentionMask`.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Whether the weights are requested.
    """
    if not may_skip_pairs(num_queries, num_keys, mask, dropout, return_weights):
        return "tiled"
    num_blocks = -(-num_keys // block_size)
    work = sum(
        len(group.queries) * (num_blocks if group.keys is None else len(group.keys[0]))
        for group in groups_of(pattern, num_blocks, mask.causal)
    )
    most = MOST_CAUSAL_WORK if mask.causal else MOST_WORK
    return "blocked" if work <= most * num_blocks**2 else "tiled"


@dataclass(frozen=True)
class InPattern:
    """`q . k` for the pairs of a pattern, whose queries and keys carry their `step`.

    Args:
        pattern: Which block sees which.
        block_size: Number of steps in a block.
        causal: Whether later steps are hidden.
    """

    pattern: Any
    block_size: int
    causal: bool = False

    def __call__(self, query, key):
        i = ops.cast(query["step"], "int32")[..., None]
        j = ops.cast(key["step"], "int32")[:, None, :]
        seen = self.pattern(i // self.block_size, j // self.block_size)
        if self.causal:
            seen = ops.logical_and(seen, ops.less_equal(j, i))
        return ops.where(seen, inner_product(query["query"], key["key"]), -math.inf)


def _as_step(numbers):
    """`(B or 1, T)` to float32 `(B or 1, T, 1)`, as the tiled kernel expects it."""
    return ops.cast(numbers, "float32")[..., None]


def _in_blocks(query, key, value, pattern, block_size, mask):
    """Gathers blocks: `(B, T, H, E)`. The mask has no pairs and no steps."""
    batch, length, heads, _ = ops.shape(value)
    num_blocks = -(-length // block_size)

    def cut(x):
        """`(B, T, H, D)` to `(rows, n + 1, block, D)`; the last block is hidden."""
        x = as_queries(x, batch, heads)
        rows, _, dim = ops.shape(x)
        missing = (num_blocks + 1) * block_size - length
        x = ops.concatenate([x, ops.zeros((rows, missing, dim))], axis=1)
        return ops.reshape(x, (rows, num_blocks + 1, block_size, dim))

    real = real_keys(mask, batch, length)
    queries, keys, values = cut(query), cut(key), cut(value)
    bias = ops.where(cut(real[:, :, None, None])[..., 0] > 0, 0.0, -math.inf)
    groups = groups_of(pattern, num_blocks, mask.causal)
    outputs = []
    for group in groups:
        if group.keys is None:
            score = InPattern(pattern, block_size, mask.causal)
            seen = AttentionMask(keys=real)
            found = _widely(score, group, queries, key, value, seen)
        else:
            found = _gathered(group, queries, keys, values, bias, mask.causal)
        outputs.append(found)
    place = np.argsort(np.concatenate([group.queries for group in groups]))
    output = ops.take(ops.concatenate(outputs, axis=1), place, axis=1)
    rows, dim = batch * heads, value.shape[-1]
    output = ops.reshape(output, (rows, num_blocks * block_size, dim))[:, :length]
    return ops.cast(from_rows(output, batch, heads), value.dtype)


def _widely(score, group, queries, key, value, mask):
    """The output of a group that sees most of the keys, `(rows, m, block, E)`."""
    batch, length, heads, dim = ops.shape(value)
    count, size = len(group.queries), queries.shape[2]
    query = ops.take(queries, group.queries, axis=1)
    query = ops.reshape(query, (batch * heads, count * size, queries.shape[-1]))
    query, value = from_rows(query, batch, heads), ops.cast(value, "float32")
    if group.whole:
        output = dot_product_attention(query, key, value, mask, scale=1.0)
    else:
        steps = (group.queries[:, None] * size + np.arange(size)).reshape(1, -1)
        output = tiled_attention(
            score,
            {"query": query, "step": _as_step(steps)},
            {"key": key, "step": _as_step(ops.arange(0, length)[None])},
            value,
            mask,
        )
    output = as_queries(output, batch, heads)
    return ops.reshape(output, (batch * heads, count, size, dim))


def _gathered(group, queries, keys, values, bias, causal):
    """The output of a group, `(rows, m, block, E)`."""
    rows, hidden, size, _ = ops.shape(values)
    count, width = group.keys.shape
    elements = rows * size * width * size
    most = max(1, SLICE_ELEMENTS // elements) if isinstance(elements, int) else 1
    blocks = even_size(min(most, count), count)
    num_slices = -(-count // blocks)
    fill = num_slices * blocks - count
    by_query = np.append(group.queries, np.full(fill, hidden - 1)).astype("int32")
    by_key = np.append(group.keys, np.full((fill, width), hidden - 1), axis=0)
    by_key = by_key.reshape(num_slices, blocks, width).astype("int32")
    tensors = {
        "query": _split_slices(ops.take(queries, by_query, axis=1), num_slices),
        "key": keys,
        "value": values,
        "bias": bias,
        "query_blocks": ops.convert_to_tensor(by_query.reshape(num_slices, blocks)),
        "key_blocks": ops.convert_to_tensor(by_key),
    }
    output = backend.differentiable(_Passes(causal), tensors)["output"]
    output = ops.swapaxes(output, 0, 1)
    output = ops.reshape(output, (rows, num_slices * blocks, size, values.shape[-1]))
    return output[:, :count]


def _split_slices(x, num_slices):
    """`(rows, m, block, D)` to `(slices, rows, m / slices, block, D)`."""
    rows, count, *rest = ops.shape(x)
    x = ops.reshape(x, (rows, num_slices, count // num_slices, *rest))
    return ops.swapaxes(x, 0, 1)


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass; see `backend.differentiable`.

    Its tensors are "query" `(slices, rows, m, block, D)`, "key" and "value" `(rows,
    n + 1, block, D)`, the "bias" that is added to the logits of keys `(rows, n + 1,
    block)`, the indices of the blocks of queries, "query_blocks" `(slices, m)`, and of
    the blocks of keys that they see, "key_blocks" `(slices, m, K)`.
    """

    causal: bool

    def forward(self, tensors):
        """The "output", and the "log_total" of its weights."""

        def attend(carry, part, _):
            keys = _gather(tensors["key"], part["key_blocks"])
            logits = self.logits(part, keys, tensors["bias"])
            weights, total, log_total = backend.softmax(logits, (3,))
            values = _gather(tensors["value"], part["key_blocks"])
            output = ops.matmul(weights, values) / total
            return carry, {"output": output, "log_total": log_total}

        names = {"output": None, "log_total": None}
        return backend.scan(attend, {}, _of_slices(tensors), names)[1]

    def backward(self, tensors, outputs, gradients, needed):
        """The gradients of queries, keys and values."""

        def pull(sums, part, _):
            blocks = part["key_blocks"]
            keys, values = (_gather(tensors[x], blocks) for x in ("key", "value"))
            logits = self.logits(part, keys, tensors["bias"])
            weights = backend.exp_difference(logits, part["log_total"])
            in_value = ops.matmul(ops.swapaxes(weights, 2, 3), part["gradient"])
            in_weights = ops.matmul(part["gradient"], ops.swapaxes(values, 2, 3))
            in_logits = backend.softmax_gradient(weights, in_weights, part["mean"])
            in_key = ops.matmul(ops.swapaxes(in_logits, 2, 3), part["query"])
            sums = {
                "key": _scatter(sums["key"], in_key, blocks),
                "value": _scatter(sums["value"], in_value, blocks),
            }
            return sums, {"query": ops.matmul(in_logits, keys)}

        gradient = gradients["output"]
        # Softmax subtracts this from the gradient of each weight of a query.
        mean = ops.sum(gradient * outputs["output"], axis=-1, keepdims=True)
        parts = {
            **_of_slices(tensors),
            "gradient": gradient,
            "mean": mean - gradients["log_total"],
            "log_total": outputs["log_total"],
        }
        sums = {name: ops.zeros_like(tensors[name]) for name in ("key", "value")}
        sums, found = backend.scan(pull, sums, parts, {"query": None})
        return {**sums, **found}

    def logits(self, part, keys, bias):
        """`(rows, m, block, K * block)`."""
        logits = ops.matmul(part["query"], ops.swapaxes(keys, 2, 3))
        logits = logits + ops.swapaxes(
            _gather(bias[..., None], part["key_blocks"]), 2, 3
        )
        if not self.causal:
            return logits
        size = part["query"].shape[2]
        within = ops.arange(0, size, dtype="int32")
        # Counted from the first query of each block.
        ahead = (part["key_blocks"] - part["query_blocks"][:, None]) * size
        ahead = ops.reshape(ahead[..., None] + within, (-1, keys.shape[2]))
        return logits + backend.future_bias(within, ahead)


def _of_slices(tensors):
    """The tensors that are divided into slices."""
    names = ("query", "query_blocks", "key_blocks")
    return {name: tensors[name] for name in names}


def _gather(x, blocks):
    """Blocks `(m, K)` of `(rows, n + 1, block, D)`, as `(rows, m, K * block, D)`."""
    rows, _, size, dim = ops.shape(x)
    found = ops.take(x, ops.reshape(blocks, (-1,)), axis=1)
    return ops.reshape(found, (rows, blocks.shape[0], blocks.shape[1] * size, dim))


def _scatter(total, part, blocks):
    """Adds `(rows, m, K * block, D)` to the blocks that `_gather` took."""
    rows, _, size, dim = ops.shape(total)
    part = ops.reshape(part, (rows, blocks.shape[0] * blocks.shape[1], size, dim))
    return backend.add_entries(total, part, ops.reshape(blocks, (-1,)))
