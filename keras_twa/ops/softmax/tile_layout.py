"""How the tensors of attention are cut: into blocks of rows, and those into tiles.

All tensors have their axes in the order that the matrix products like best: queries
are rows, `(rows, T, ...)`, and keys are columns, `(rows, ..., S)`. The other way round,
the two largest products of the backward pass would have to transpose a whole tile
each, which XLA does slowly on a CPU.
"""

import math
from dataclasses import dataclass

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.splitting import even_size

# A tile of a window has so many queries, more for the wider windows.
LEAST_QUERIES, MOST_QUERIES = 64, 256


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


def tile_queries(reach):
    """How many queries a tile has, the power of two that is closest to `reach`."""
    block = 2 ** max(0, round(math.log2(max(reach, 1))))
    return min(max(block, LEAST_QUERIES), MOST_QUERIES)


class Work:
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
        tensors = tensors[passes.num_parameters :]
        self.num_constants = len(tensors)
        lags = {name: tensors.pop(0) for name in passes.lag_names}
        self.rules = passes.rules.with_tensors(tensors)
        dropout = self.rules.dropout
        self.scale = 1.0 if dropout is None else dropout.scale
        self.rows, _, self.num_keys = ops.shape(columns["value"])
        self.num_queries = ops.shape(next(iter(query.values())))[1]
        self.row_block, self.query_block = self._tile_sizes()
        self.key_blocks = self._key_blocks()
        # Of the scores of a tile, the axes that keys are on.
        self.key_axes = (2,) if self.key_blocks == 1 else (0, 2)
        self.column_names = list(columns)
        self.slices = {"rows": self._cut(ops.arange(0, self.rows, dtype="int32"))}
        if self.rules.key_mask is not None or self.window is not None:
            columns["key_mask"] = self._key_mask()
        for name, x in columns.items():
            self.slices[name] = self._cut(self._widen(x))
        for name, x in lags.items():
            self.slices[f"lag {name}"] = self._cut(x)
        self.add_queries(**query)
        if dropout is not None:
            rows = ops.arange(0, self.rows, dtype="int32")
            queries = ops.arange(0, self.num_queries, dtype="int32")
            queries = queries + self.rules.first_query
            self.add_queries(bits=dropout.query_bits(rows, queries))

    def add_queries(self, fill=None, **tensors):
        """Cuts further tensors `(rows, T, ...)`, filled with a number or entries."""
        for name, x in tensors.items():
            x = self._cut(x, fill)
            blocks, g, _, *rest = ops.shape(x)
            x = _fill(x, self.query_block, 2, fill)
            x = ops.reshape(x, (blocks, g, -1, self.query_block, *rest))
            self.slices[f"query {name}"] = ops.swapaxes(x, 1, 2)

    def num_seen(self):
        """How many keys a tile sees."""
        return self.num_keys if self.window is None else self.window.num_keys

    def num_tiles(self):
        """How many tiles the queries of a row are cut into."""
        return -(-self.num_queries // self.query_block)

    def join_queries(self, x):
        """`(row blocks, query blocks, g, t, ...)` to `(rows, T, ...)`."""
        rest = ops.shape(x)[4:]
        x = ops.swapaxes(x, 1, 2)
        x = ops.reshape(x, (-1, self.num_tiles() * self.query_block, *rest))
        return x[: self.rows, : self.num_queries]

    def join_keys(self, x):
        """`(row blocks, g, ..., S)` to `(rows, ..., S)`."""
        x = ops.reshape(x, (-1, *ops.shape(x)[2:]))[: self.rows]
        if self.window is None:
            return x
        first = self.window.before
        return x[..., first : first + self.num_keys]

    def _tile_sizes(self):
        """How many rows, and how many queries of each, make a tile."""
        elements, least = self.passes.tile_elements, self.passes.least_queries
        num_queries, num_keys = self.num_queries, self.num_keys
        if self.window is None:
            queries = _clip(elements // num_keys, least, num_queries)
            queries = even_size(queries, num_queries)
        else:
            queries, num_keys = self.window.block, self.window.num_keys
        if not isinstance(self.rows, int) and not ops.is_tensor(self.rows):
            # JAX exports a model for any batch: a symbol, which cannot be compared.
            return 1, queries
        rows = _clip(elements // (queries * num_keys), 1, self.rows)
        return even_size(rows, self.rows), queries

    def _key_blocks(self):
        """How many blocks of keys a tile of one row is cut into."""
        num_keys = self.num_seen()
        least = self.passes.key_block
        cuts = least is not None and isinstance(num_keys, int)
        if not cuts or self.row_block != 1 or self.rules.pairs is not None:
            return 1
        sizes = range(least, 2 * least)
        return next((num_keys // s for s in sizes if num_keys % s == 0), 1)

    def _key_mask(self):
        if self.rules.key_mask is not None:
            return self.rules.key_mask
        return ops.ones((self.rows, self.num_keys), dtype="bool")

    def _cut(self, x, fill=None):
        """`(rows, ...)` to `(row blocks, g, ...)`."""
        x = _fill(x, self.row_block, 0, fill)
        return ops.reshape(x, (-1, self.row_block, *ops.shape(x)[1:]))

    def _widen(self, x):
        """With a window: as many columns as the first and the last tile look for."""
        if self.window is None:
            return x
        after = self.window.after - self.num_queries % -self.query_block
        beside = [(0, 0)] * (len(x.shape) - 1) + [(self.window.before, after)]
        return ops.pad(x, beside)


class Rows:
    """A block of rows, with the keys of their tiles.

    A tile of one row may be cut further, into blocks of neighbouring keys. It then
    looks like one of several rows, with the same queries `(blocks, t, ...)` in all of
    them and some of the keys in each, `(blocks, ..., s)`.
    """

    def __init__(self, work, slices):
        self.work = work
        self.slices = slices
        self.columns = {
            name: x for name, x in slices.items() if name in work.column_names
        }
        self.key_mask = slices.get("key_mask")
        if work.window is None:
            self.columns = {name: self.cut(x) for name, x in self.columns.items()}
            self.key_mask = None if self.key_mask is None else self.cut(self.key_mask)
        self.bands = {
            name: self._band(slices[f"lag {name}"]) for name in work.passes.lag_names
        }

    def tiles(self):
        """What the loop over blocks of queries runs through."""
        return {
            name.removeprefix("query "): x
            for name, x in self.slices.items()
            if name.startswith("query ")
        }

    def tile(self, queries, index):
        """One turn of that loop, with its tensors."""
        return Tile(self, queries, index)

    def cut(self, x):
        """`(g, ..., s)`, or `(blocks, ..., s)` of one row."""
        blocks = self.work.key_blocks
        if blocks == 1:
            return x
        x = ops.reshape(x, (*ops.shape(x)[1:-1], blocks, -1))
        # By tuples: PyTorch's `vmap` knows no other way.
        return ops.moveaxis(x, (-2,), (0,))

    def joined(self, x):
        """What keys got, with all keys in one block: `(g, ..., S)`."""
        if self.work.key_blocks == 1 or self.work.window is not None:
            return x
        return self._uncut(x)

    def zeros(self):
        """What the keys got before the first tile."""
        return [ops.zeros_like(self.columns[name]) for name in self.work.column_names]

    def add(self, total, part, first):
        """Adds what the keys of a tile get to what all keys got so far."""
        if self.work.window is None:
            return total + part
        part = part if self.work.key_blocks == 1 else self._uncut(part)
        return backend.add_columns(total, part, first)

    def _uncut(self, x):
        x = ops.moveaxis(x, (0,), (-2,))
        return ops.reshape(x, (1, *ops.shape(x)[:-2], -1))

    def _band(self, x):
        """What `by_lag` makes for the queries of a tile, with the keys of all tiles.

        A tile takes its own columns of it. With a window, all tiles see the same.
        """
        work = self.work
        t = work.query_block
        if work.window is not None:
            last = t + work.window.before + work.num_keys - 1
            x = x[:, last - t - work.window.num_keys + 1 : last]
            return self.cut(by_lag(x, t, work.window.num_keys))
        others = (work.num_tiles() - 1) * t
        x = ops.pad(x, [(0, 0), (0, others + t - work.num_queries)])
        return by_lag(x, t, work.num_keys + others)


class Tile:
    """Some queries of some rows, and the keys that they see."""

    def __init__(self, rows, queries, index):
        work = rows.work
        self._rows, self._work, self._index = rows, work, index
        self._first = index * work.query_block
        self._columns = rows.columns
        self._key_mask = None if work.window is not None else rows.key_mask
        if work.window is not None:
            self._columns = {name: self._seen(x) for name, x in rows.columns.items()}
            if not self._sees_all():
                self._key_mask = self._seen(rows.key_mask)
        self._bits = queries.get("bits")
        self.value = self._columns["value"]
        self.leaves = [
            *(self._repeated(queries[name]) for name in work.passes.query_names),
            *(self._columns[name] for name in work.passes.key_names),
            *work.parameters,
        ]

    def score(self, *leaves):
        passes, rest = self._work.passes, list(leaves)
        query = {name: rest.pop(0) for name in passes.query_names}
        key = {name: rest.pop(0) for name in passes.key_names}
        query |= {name: self._lags(band) for name, band in self._rows.bands.items()}
        return passes.score(query, key, *rest)

    def masked(self, logits):
        rules = self._work.rules
        if not rules.hide_keys(self._key_mask):
            return logits
        rows = self._repeated(self._rows.slices["rows"])
        bias = rules.bias(rows, self._queries(), self._keys(), self._key_mask)
        return logits + bias

    def kept(self):
        """Which weights stay, or `None` where none is dropped."""
        dropout = self._work.rules.dropout
        if dropout is None:
            return None
        return dropout.kept(self._repeated(self._bits), self._keys())

    def drop(self, weights, kept):
        """The weights that stay; those of all are not there any more."""
        return weights if kept is None else backend.keep_only(weights, kept)

    def sum_blocks(self, x):
        """What the blocks of keys have for each query, added up: `(g, t, ...)`."""
        return x if self._work.key_blocks == 1 else ops.sum(x, axis=0, keepdims=True)

    def add_keys(self, total, part):
        """Adds what the keys of this tile get to what all keys got so far."""
        return self._rows.add(total, part, self._first)

    def _queries(self):
        """Which queries these are, `(t,)`."""
        work = self._work
        index = ops.arange(0, work.query_block, dtype="int32") + self._first
        # The last tile is filled up with the first queries.
        return ops.mod(index, work.num_queries) + work.rules.first_query

    def _keys(self):
        """Which keys these are, `(1, s)` or `(blocks, s)`."""
        keys = ops.arange(0, self._work.num_seen(), dtype="int32")
        if self._work.window is not None:
            keys = keys + (self._first - self._work.window.before)
        return self._rows.cut(keys[None])

    def _sees_all(self):
        """Whether it is known by now that all keys of the window are there."""
        work, first = self._work, self._first - self._work.window.before
        if work.rules.key_mask is not None or not isinstance(first, int):
            return False
        return first >= 0 and first + work.window.num_keys <= work.num_keys

    def _lags(self, band):
        work = self._work
        if work.window is not None:
            return band
        first = (work.num_tiles() - 1 - self._index) * work.query_block
        return self._rows.cut(backend.columns(band, first, work.num_keys))

    def _seen(self, x):
        seen = backend.columns(x, self._first, self._work.num_seen())
        return self._rows.cut(seen)

    def _repeated(self, x):
        """Tensors of queries or of rows `(g, ...)`, for each of the blocks of keys."""
        blocks = self._work.key_blocks
        if blocks == 1:
            return x
        return ops.broadcast_to(x, (blocks, *ops.shape(x)[1:]))


def by_lag(x, num_queries, num_keys):
    """`(g, T + S - 1)`, a number for each lag `i - j`, to `(g, T, S)`, one for a pair.

    The first number is that of the lag -(S - 1), the last one that of T - 1.
    """
    rows, lags = ops.shape(x)
    # Each line is the one above, moved by one place: what comes of writing a line of
    # length L + 1 again and again, and reading lines of length L.
    line = ops.pad(ops.flip(x, axis=-1), [(0, 0), (0, 1)])
    lines = ops.broadcast_to(line[:, None], (rows, num_queries, lags + 1))
    lines = ops.reshape(lines, (rows, -1))[:, : num_queries * lags]
    lines = ops.reshape(lines, (rows, num_queries, lags))
    return lines[:, :, num_queries - 1 :]


def _fill(x, block, axis, fill=None):
    """Lengthens an axis to whole blocks, by a number or by its own first entries.

    What comes of them is dropped, but until then it has to be finite.
    """
    missing = -ops.shape(x)[axis] % block
    if isinstance(missing, int) and missing == 0:
        return x
    first = x[:missing] if axis == 0 else x[:, :, :missing]
    first = first if fill is None else ops.full_like(first, fill)
    return ops.concatenate([x, first], axis=axis)


def _clip(size, lower, upper):
    """`size`, at least `lower`, at most `upper`; tensors where lengths are unknown."""
    if isinstance(size, int) and isinstance(upper, int):
        return min(max(size, lower), upper)
    return ops.minimum(ops.maximum(size, lower), upper)
