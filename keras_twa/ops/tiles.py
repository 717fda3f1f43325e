"""Softmax attention over tiles of scores, forward and backward.

All tensors have their axes in the order that the matrix products like best: queries
are rows, `(rows, T, ...)`, and keys are columns, `(rows, ..., S)`. The other way round,
the two largest products of the backward pass would have to transpose a whole tile
each, which XLA does slowly on a CPU.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.rules import Rules

# A tile of 2^20 float32 scores is 4 MB. Smaller ones would fit a core's own cache, but
# each turn of the loop has its price too.
TILE_ELEMENTS = 2**20


def attend_in_tiles(score, query, key, value, rules, parameters=(), window=None):
    """Computes the output of softmax attention, and its denominator.

    Args:
        score: See `tiled_attention`; hashable.
        query: Dictionary of tensors `(rows, T, ...)`.
        key: Dictionary of tensors `(rows, ..., S)`.
        value: `(rows, D, S)`.
        rules: The `Rules` of what a query sees and drops.
        parameters: Tensors of any shape that `score` needs whole.
        window: The `Window` of keys that a tile sees, or `None` for all of them. It
            needs S = T.

    Returns:
        The output `(rows, T, D)`, and the logarithm of the sum of the exponentials
        of each query's logits `(rows, T, 1)`, both float32.
    """
    passes = _Passes(
        score,
        tuple(query),
        tuple(key),
        len(parameters),
        rules.static(),
        window,
        TILE_ELEMENTS,
    )
    tensors = [*query.values(), *key.values(), value, *parameters]
    return backend.differentiable(passes, [*tensors, *rules.tensors().values()])


@dataclass(frozen=True)
class Window:
    """The keys that a tile of queries sees: those around it.

    Args:
        block: Number of queries in a tile.
        before: How many keys before the first query.
        after: How many keys after the last query.
    """

    block: int
    before: int
    after: int

    @property
    def num_keys(self):
        return self.before + self.block + self.after


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass, as loops over rows and, inside, queries.

    All that is constant is here, in fields that can be compared, so that a compiler
    knows a call that it has met before.
    """

    score: Any
    query_names: tuple[str, ...]
    key_names: tuple[str, ...]
    num_parameters: int
    rules: Rules
    window: Window | None
    tile_elements: int

    def forward(self, *tensors):
        work = _Work(self, tensors)

        def attend_rows(carry, rows):
            def attend_tile(carry, queries):
                tile = _Tile(work, rows, queries)
                logits = tile.masked(tile.score(*tile.leaves))
                highest = ops.max(logits, axis=-1, keepdims=True)
                # The maximum of a row that sees nothing is -inf, and -inf + inf NaN.
                highest = ops.maximum(highest, -1e30)
                weights = backend.exp_difference(logits, highest)
                # One is the least sum of any row with a visible key.
                total = ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 0.5)
                value = ops.swapaxes(tile.value, -1, -2)
                output = backend.matmul(tile.drop(weights, tile.kept()), value)
                # The division is left for here, where it touches t x D, not t x S.
                output = output * (work.scale / total)
                return carry, [output, highest + ops.log(total)]

            return carry, _loop(attend_tile, [], work.tiles(rows), 2)[1]

        outputs = _loop(attend_rows, [], work.slices, 2)[1]
        return tuple(work.join_queries(x) for x in outputs)

    def backward(self, tensors, outputs, gradients, needed):
        work = _Work(self, tensors)
        output, log_total = outputs
        gradient, log_gradient = gradients
        # What softmax takes off the gradient of each weight of a query.
        mean = ops.sum(gradient * output, axis=-1, keepdims=True) - log_gradient
        work.add_queries(log_total=log_total)
        work.add_queries(gradient=gradient, mean=mean, zeros=True)
        num_queries = len(self.query_names)
        num_leaves = num_queries + len(self.key_names)
        num_columns = len(self.key_names) + 1
        # The value is no argument of the score.
        needed = [*needed[:num_leaves], *needed[num_leaves + 1 :]]
        needed = needed[: num_leaves + self.num_parameters]

        def pull_rows(in_parameters, rows):
            def pull_tile(sums, queries):
                tile = _Tile(work, rows, queries)
                logits, pull = backend.pullback(tile.score, tile.leaves, needed)
                logits = tile.masked(logits)
                weights = backend.exp_difference(logits, queries["log_total"])
                gradient = queries["gradient"] * work.scale
                kept = tile.kept()
                in_weights = tile.drop(backend.matmul(gradient, tile.value), kept)
                mixed = tile.drop(weights, kept)
                in_value = backend.matmul(ops.swapaxes(gradient, -1, -2), mixed)
                in_logits = backend.softmax_gradient(
                    weights, in_weights, queries["mean"]
                )
                pulled = pull(in_logits)
                columns = [*pulled[num_queries:num_leaves], in_value]
                sums = [
                    *map(tile.add_keys, sums[:num_columns], columns),
                    *_sums(sums[num_columns:], pulled[num_leaves:]),
                ]
                return sums, pulled[:num_queries]

            zeros = [ops.zeros_like(rows[name]) for name in work.column_names]
            sums, in_query = _loop(
                pull_tile,
                [*zeros, *in_parameters],
                work.tiles(rows),
                num_queries,
            )
            return sums[num_columns:], [*in_query, *sums[:num_columns]]

        in_parameters, found = _loop(
            pull_rows,
            [ops.zeros_like(x) for x in work.parameters],
            work.slices,
            num_queries + num_columns,
        )
        in_query = [work.join_queries(x) for x in found[:num_queries]]
        columns = [work.join_keys(x) for x in found[num_queries:]]
        return [*in_query, *columns, *in_parameters, *[None] * len(work.rule_tensors)]


class _Work:
    """The tensors of one pass, cut for its loops.

    `slices` is what the loop over blocks of rows runs through: tensors of queries as
    `(row blocks, query blocks, g, t, ...)`, of keys as `(row blocks, g, ..., S)`.
    """

    def __init__(self, passes, tensors):
        self.passes = passes
        self.window = passes.window
        tensors = list(tensors)
        query = {name: tensors.pop(0) for name in passes.query_names}
        columns = {name: tensors.pop(0) for name in (*passes.key_names, "value")}
        self.parameters = tensors[: passes.num_parameters]
        self.rule_tensors = tensors[passes.num_parameters :]
        self.rules = passes.rules.with_tensors(self.rule_tensors)
        dropout = self.rules.dropout
        self.scale = 1.0 if dropout is None else dropout.scale
        self.rows, _, self.num_keys = ops.shape(columns["value"])
        self.num_queries = ops.shape(next(iter(query.values())))[1]
        self.row_block, self.query_block = self._tile_sizes(passes.tile_elements)
        self.column_names = list(columns)
        self.slices = {"rows": self._cut(ops.arange(self.rows, dtype="int32"))}
        if self.rules.key_mask is not None or self.window is not None:
            columns["key_mask"] = self._key_mask()
        for name, x in columns.items():
            self.slices[name] = self._cut(self._widen(x))
        self.add_queries(**query)
        if dropout is not None:
            rows = ops.arange(self.rows, dtype="int32")
            queries = ops.arange(self.num_queries, dtype="int32")
            queries = queries + self.rules.first_query
            self.add_queries(bits=dropout.query_bits(rows, queries))

    def add_queries(self, zeros=False, **tensors):
        """Cuts further tensors `(rows, T, ...)`, filled up with zeros or entries."""
        for name, x in tensors.items():
            x = self._cut(x, zeros)
            blocks, g, _, *rest = ops.shape(x)
            x = _fill(x, self.query_block, 2, zeros)
            x = ops.reshape(x, (blocks, g, -1, self.query_block, *rest))
            self.slices[f"query {name}"] = ops.swapaxes(x, 1, 2)

    def tiles(self, rows):
        """What the loop over blocks of queries runs through, in one block of rows."""
        tiles = {
            name.removeprefix("query "): x
            for name, x in rows.items()
            if name.startswith("query ")
        }
        blocks = ops.shape(next(iter(tiles.values())))[0]
        tiles["block"] = ops.arange(blocks, dtype="int32")
        return tiles

    def join_queries(self, x):
        """`(row blocks, query blocks, g, t, ...)` to `(rows, T, ...)`."""
        rest = ops.shape(x)[4:]
        x = ops.swapaxes(x, 1, 2)
        filled = -(-self.num_queries // self.query_block) * self.query_block
        x = ops.reshape(x, (-1, filled, *rest))
        return x[: self.rows, : self.num_queries]

    def join_keys(self, x):
        """`(row blocks, g, ..., S)` to `(rows, ..., S)`."""
        x = ops.reshape(x, (-1, *ops.shape(x)[2:]))[: self.rows]
        if self.window is None:
            return x
        first = self.window.before
        return x[..., first : first + self.num_keys]

    def _tile_sizes(self, elements):
        """How many rows, and how many queries of each, make a tile."""
        num_queries, num_keys = self.num_queries, self.num_keys
        if self.window is None:
            queries = _even(_clip(elements // num_keys, num_queries), num_queries)
        else:
            queries, num_keys = self.window.block, self.window.num_keys
        rows = _clip(elements // (queries * num_keys), self.rows)
        return _even(rows, self.rows), queries

    def _key_mask(self):
        if self.rules.key_mask is not None:
            return self.rules.key_mask
        return ops.ones((self.rows, self.num_keys), dtype="bool")

    def _cut(self, x, zeros=False):
        """`(rows, ...)` to `(row blocks, g, ...)`."""
        x = _fill(x, self.row_block, 0, zeros)
        return ops.reshape(x, (-1, self.row_block, *ops.shape(x)[1:]))

    def _widen(self, x):
        """With a window: as many columns as the first and the last tile look for."""
        if self.window is None:
            return x
        after = self.window.after - self.num_queries % -self.query_block
        beside = [(0, 0)] * (len(x.shape) - 1) + [(self.window.before, after)]
        return ops.pad(x, beside)


class _Tile:
    """Some queries of some rows, and the keys that they see."""

    def __init__(self, work, rows, queries):
        passes = work.passes
        self._work = work
        self._rows = rows["rows"]
        self._first = queries["block"] * work.query_block
        index = ops.arange(work.query_block, dtype="int32") + self._first
        # The last tile is filled up with the first queries.
        index = ops.mod(index, work.num_queries)
        self._queries = index + work.rules.first_query
        self._keys = ops.arange(self._num_keys(), dtype="int32")
        if work.window is not None:
            self._keys = self._keys + (self._first - work.window.before)
        self.value = self._seen(rows["value"])
        self.leaves = [
            *(queries[name] for name in passes.query_names),
            *(self._seen(rows[name]) for name in passes.key_names),
            *work.parameters,
        ]
        self._bits = queries.get("bits")
        self._key_mask = None
        if "key_mask" in rows:
            self._key_mask = self._seen(rows["key_mask"])

    def score(self, *leaves):
        passes, rest = self._work.passes, list(leaves)
        query = {name: rest.pop(0) for name in passes.query_names}
        key = {name: rest.pop(0) for name in passes.key_names}
        return passes.score(query, key, *rest)

    def masked(self, logits):
        bias = self._work.rules.bias(
            self._rows, self._queries, self._keys, self._key_mask
        )
        return logits if bias is None else logits + bias

    def kept(self):
        """Which weights stay, or `None` where none is dropped."""
        dropout = self._work.rules.dropout
        if dropout is None:
            return None
        return dropout.kept(self._bits, self._keys)

    def drop(self, weights, kept):
        return weights if kept is None else backend.keep(weights, kept)

    def add_keys(self, total, part):
        """Adds what the keys of this tile get to what all keys got so far."""
        if self._work.window is None:
            return total + part
        return backend.add_columns(total, part, self._first)

    def _num_keys(self):
        if self._work.window is None:
            return self._work.num_keys
        return self._work.window.num_keys

    def _seen(self, x):
        if self._work.window is None:
            return x
        zeros = [0] * (len(x.shape) - 1)
        shape = (*ops.shape(x)[:-1], self._num_keys())
        return ops.slice(x, (*zeros, self._first), shape)


def _loop(body, carry, slices, num_results):
    """`backend.scan`, without the loop where there is a single part."""
    if next(iter(slices.values())).shape[0] != 1:
        return backend.scan(body, carry, slices, num_results)
    carry, results = body(carry, {name: x[0] for name, x in slices.items()})
    return carry, [x[None] for x in results]


def _fill(x, block, axis, zeros=False):
    """Lengthens an axis to whole blocks, by zeros or by its own first entries.

    What comes of them is dropped, but until then it has to be finite.
    """
    missing = -ops.shape(x)[axis] % block
    if isinstance(missing, int) and missing == 0:
        return x
    first = x[:missing] if axis == 0 else x[:, :, :missing]
    return ops.concatenate([x, ops.zeros_like(first) if zeros else first], axis=axis)


def _sums(totals, parts):
    return [total + part for total, part in zip(totals, parts, strict=True)]


def _clip(size, upper):
    """`size`, at least 1 and at most `upper`; tensors where lengths are unknown."""
    if isinstance(size, int) and isinstance(upper, int):
        return max(1, min(size, upper))
    return ops.maximum(1, ops.minimum(size, upper))


def _even(block, size):
    """The smallest block that needs no more blocks than `block` does."""
    blocks = -(-size // block)
    return -(-size // blocks)
