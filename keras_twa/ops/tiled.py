"""Softmax attention for any score function, in memory linear in the length.

The scores of all pairs are never held at once. Work is cut into tiles: a few
queries of one head (or, for short sequences, many heads at once) against all
keys. Each tile is computed again in the backward pass, so nothing of size T x S is
kept for it either.

The idea of recomputing instead of storing is that of FlashAttention (Dao et al.
2022, https://arxiv.org/abs/2205.14135); Rabe and Staats 2021
(https://arxiv.org/abs/2112.05682) cut the queries as it is done here.
"""

import math

import keras
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.masks import both
from keras_twa.masks import past
from keras_twa.ops import backend

# A tile of 2^20 float32 scores is 4 MB. Smaller ones would fit a core's own cache,
# but looked slower in short trials on a busy machine: the loop has its price too.
TILE_ELEMENTS = 2**20
# Up to 2^21 scores in all, recomputation costs more than it saves.
DENSE_ELEMENTS = 2**21


def tiled_attention(
    score,
    query,
    key,
    value,
    mask=None,
    dropout=None,
    return_weights=False,
    parameters=(),
):
    """Computes `softmax(score(query, key)) value` tile by tile.

    A query that may see no key at all gets an output of zero.

    Args:
        score: Function from a tile of queries and one of keys to float32 logits
            `(g, t, S)`. It gets dictionaries with the names of `query` and
            `key` and values `(g, t, ...)` and `(g, S, ...)`, where `g` rows are
            pairs of a batch element and a head, followed by `parameters`. Every
            tensor that needs a gradient must come in one of these ways.
        query: Dictionary of tensors `(B or 1, T, H or 1, ...)`.
        key: Dictionary of tensors `(B or 1, S, H or 1, ...)`, finite wherever
            `mask` hides a key.
        value: `(B, S, H, D)`, finite likewise.
        mask: An `AttentionMask`, or `None` to attend everywhere.
        dropout: A `WeightDropout`, or `None`.
        return_weights: Also return the weights, at the price of holding them.
        parameters: Tensors of any shape that `score` needs whole.

    Returns:
        The output `(B, T, H, D)` in the dtype of `value`, and with
        `return_weights` the weights `(B, H, T, S)` in float32, before dropout.
    """
    mask = AttentionMask() if mask is None else mask
    work = _Work(score, query, key, value, mask, dropout, parameters)
    if return_weights:
        output, weights = work.all_at_once(return_weights=True)
    elif work.is_small():
        output = work.all_at_once()
    else:
        output = work.in_tiles()

    batch, num_keys, heads, dim = ops.shape(value)
    output = ops.reshape(output, (batch, heads, work.num_queries, dim))
    output = ops.cast(ops.transpose(output, (0, 2, 1, 3)), value.dtype)
    if mask.queries is not None:
        real = mask.queries[:, :, None, None]
        output = ops.where(real, output, ops.zeros((), dtype=output.dtype))
    if not return_weights:
        return output
    weights = ops.reshape(weights, (batch, heads, work.num_queries, num_keys))
    if mask.queries is not None:
        weights = ops.where(mask.queries[:, None, :, None], weights, 0.0)
    return output, weights


class _Work:
    """One call of `tiled_attention`, with batch and heads merged into rows."""

    def __init__(self, score, query, key, value, mask, dropout, parameters):
        self.score = score
        self.parameters = list(parameters)
        self.mask = mask
        self.dropout = dropout
        self.batch, self.num_keys, self.heads, self.dim = ops.shape(value)
        self.num_queries = ops.shape(next(iter(query.values())))[1]
        self.rows = self.batch * self.heads
        self.query = {name: self._as_rows(x) for name, x in query.items()}
        self.key = {name: self._as_rows(x) for name, x in key.items()}
        self.value = self._as_rows(value)
        self.key_mask = None
        if mask.keys is not None:
            self.key_mask = self._as_rows(mask.keys[:, :, None])

    def is_small(self):
        sizes = (self.rows, self.num_queries, self.num_keys)
        if not all(isinstance(size, int) for size in sizes):
            return False
        return math.prod(sizes) <= DENSE_ELEMENTS

    def all_at_once(self, return_weights=False):
        return self._attend(
            ops.arange(self.rows, dtype="int32"),
            ops.arange(self.num_queries, dtype="int32"),
            self.query,
            self.key,
            self.value,
            self.key_mask,
            self.parameters,
            return_weights,
        )

    def in_tiles(self):
        """Loops over blocks of rows, and inside each over blocks of queries."""
        row_block, query_block = self._tile_sizes()
        tensors = [*self.query.values(), *self.key.values(), self.value]
        tensors.append(ops.arange(self.rows, dtype="int32"))
        if self.key_mask is not None:
            tensors.append(self.key_mask)
        output = backend.map_blocks(
            lambda block: self._attend_rows(block, query_block),
            [_split(x, row_block) for x in tensors],
            (_static(row_block), _static(self.num_queries), self.value.shape[-1]),
        )
        output = ops.reshape(output, (-1, self.num_queries, self.dim))
        return output[: self.rows]

    def _attend_rows(self, block, query_block):
        """All queries of one block of rows, `(g, T, D)`."""
        num_leaves = len(self.query) + len(self.key)
        # Queries lead, so that the loop can cut them: (T, g, ...).
        queries = [ops.swapaxes(x, 0, 1) for x in block[: len(self.query)]]
        queries.append(ops.arange(self.num_queries, dtype="int32"))
        keys = block[len(self.query) : num_leaves]
        value, rows = block[num_leaves], block[num_leaves + 1]
        key_mask = block[-1] if self.key_mask is not None else None

        def attend_tile(tile):
            *tile, query_index = tile

            # Recomputation differentiates what comes as an argument, and only
            # that; TensorFlow's wants no booleans among it.
            @keras.remat
            def attend(value, *tensors):
                rest = list(tensors)
                query = {name: ops.swapaxes(rest.pop(0), 0, 1) for name in self.query}
                key = {name: rest.pop(0) for name in self.key}
                return self._attend(
                    rows, query_index, query, key, value, key_mask, rest
                )

            output = attend(value, *tile, *keys, *self.parameters)
            return ops.swapaxes(output, 0, 1)

        output = backend.map_blocks(
            attend_tile,
            [_split(x, query_block) for x in queries],
            (_static(query_block), _static(ops.shape(value)[0]), value.shape[-1]),
        )
        output = ops.reshape(output, (-1, ops.shape(value)[0], self.dim))
        return ops.swapaxes(output[: self.num_queries], 0, 1)

    def _attend(
        self,
        rows,
        query_index,
        query,
        key,
        value,
        key_mask,
        parameters,
        return_weights=False,
    ):
        logits = self.score(query, key, *parameters)
        visible = self._visible(rows, query_index, key_mask)
        if visible is not None:
            logits = ops.where(visible, logits, -math.inf)
        highest = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
        # A row that sees nothing has -inf for its maximum, and -inf + inf is NaN.
        highest = ops.maximum(highest, -1e30)
        weights = ops.exp(ops.subtract(logits, highest))
        total = ops.sum(weights, axis=-1, keepdims=True)
        # One is the least total of any row with a visible key.
        total = ops.maximum(total, 0.5)
        mixed = (
            weights
            if self.dropout is None
            else self.dropout(weights, rows, query_index)
        )
        # The division is left for the end, where it touches t x D, not t x S.
        output = ops.divide(ops.matmul(mixed, ops.cast(value, "float32")), total)
        if return_weights:
            return output, ops.divide(weights, total)
        return output

    def _visible(self, rows, query_index, key_mask):
        """Boolean, broadcastable to `(g, t, S)`, or `None`."""
        visible = None
        if self.mask.pairs is not None:
            visible = self._pairs(rows, query_index)
        if self.mask.causal:
            visible = both(visible, past(query_index, self.num_queries, self.num_keys))
        if key_mask is not None:
            visible = both(visible, key_mask[:, None, :])
        return visible

    def _pairs(self, rows, query_index):
        """The explicit pairs of one tile, out of `(B or 1, mask heads, T, S)`."""
        pairs = self.mask.pairs
        batch, heads, queries, keys = ops.shape(pairs)
        element = ops.zeros_like(rows)
        if pairs.shape[0] != 1:
            element = ops.floor_divide(rows, self.heads)
        # Where one mask head serves several heads, as for the timescales of a
        # multi-timescale layer, heads that share one stand `heads` apart.
        head = ops.mod(rows, heads)
        step = ops.zeros_like(query_index) if pairs.shape[2] == 1 else query_index
        lines = ops.reshape(pairs, (batch * heads * queries, keys))
        first = (element * heads + head) * queries
        return ops.take(lines, first[:, None] + step[None, :], axis=0)

    def _as_rows(self, x):
        """`(B or 1, L, H or 1, ...)` to `(B * H, L, ...)`."""
        length, rest = ops.shape(x)[1], tuple(ops.shape(x)[3:])
        x = ops.broadcast_to(x, (self.batch, length, self.heads, *rest))
        x = ops.swapaxes(x, 1, 2)
        return ops.reshape(x, (self.rows, length, *rest))

    def _tile_sizes(self):
        """How many rows and how many queries of each make a tile."""
        pairs_per_row = self.num_queries * self.num_keys
        row_block = _clip(TILE_ELEMENTS // pairs_per_row, self.rows)
        query_block = _clip(TILE_ELEMENTS // self.num_keys, self.num_queries)
        return _even(row_block, self.rows), _even(query_block, self.num_queries)


def _split(x, block):
    """`(n, ...)` to `(n / block, block, ...)`.

    The last block is filled up with the first entries: they are finite, and what
    comes of them is dropped.
    """
    size = ops.shape(x)[0]
    missing = -size % block
    if not (isinstance(missing, int) and missing == 0):
        x = ops.concatenate([x, x[:missing]], axis=0)
    return ops.reshape(x, (-1, block, *ops.shape(x)[1:]))


def _clip(size, upper):
    """`size`, at least 1 and at most `upper`; tensors where lengths are unknown."""
    if isinstance(size, int) and isinstance(upper, int):
        return max(1, min(size, upper))
    return ops.maximum(1, ops.minimum(size, upper))


def _even(block, size):
    """The smallest block that needs no more blocks than `block` does."""
    blocks = -(-size // block)
    return -(-size // blocks)


def _static(size):
    return size if isinstance(size, int) else None
