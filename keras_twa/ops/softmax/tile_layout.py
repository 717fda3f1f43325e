"""Divides the tensors of attention into groups of rows, and these into tiles.

All tensors have their axes in the order that is best for matrix products: queries are
rows, `(rows, T, ...)`, and keys are columns, `(rows, ..., S)`. Otherwise, the two
largest products of the backward pass would each transpose a whole tile, which XLA does
slowly on a CPU.
"""

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.nests import map_tensors
from keras_twa.ops.rows import as_lags
from keras_twa.ops.rows import repeated
from keras_twa.ops.segments import segment_bounds
from keras_twa.ops.softmax.tile_keys import KeySpans
from keras_twa.ops.softmax.tile_keys import Part
from keras_twa.ops.softmax.tile_keys import WholeRows
from keras_twa.ops.softmax.tile_keys import Windows
from keras_twa.ops.splitting import even_size

# In packed rows, a tile has the keys of its segments only. A compiled call has to know
# their number: one sixteenth of all keys, two sixteenths, ..., but no less than this.
MOST_PARTS, LEAST_KEYS = 16, 256


class Layout:
    """The tensors of one pass, divided for its loops.

    The loop over groups of rows runs over `slices`, in which tensors of keys are
    `(groups, g, ..., S)`. The loop over the tiles of a group runs over the tensors of
    queries, which are under "tiles": `(groups, tiles, g, t, ...)`.

    Args:
        passes: The passes of `tile_loop.py`, which hold all constants.
        tensors: The dictionary of tensors that the passes take.
    """

    def __init__(self, passes, tensors):
        self.passes = passes
        self.parameters = tensors["parameters"]
        self.rules = passes.rules.with_tensors(tensors["rules"])
        dropout = self.rules.dropout
        self.scale = 1.0 if dropout is None else dropout.scale
        self.rows, _, num_keys = ops.shape(tensors["value"])
        self.num_queries = ops.shape(next(iter(tensors["query"].values())))[1]
        self.keys = _keys_of_tiles(passes, self.num_queries, num_keys)
        self.parts = self._sizes_of_parts()
        self.lags = tensors["lags"]
        self.row_group, self.lags_repeat = self._row_group()
        self.spans = KeySpans(self._num_spans())
        # The axes of keys in the scores of a tile.
        self.key_axes = (2,) if self.spans.count == 1 else (0, 2)
        rows = ops.arange(0, self.rows, dtype="int32")
        self.slices = {
            "rows": self._group(rows),
            "key": map_tensors(self._group_keys, tensors["key"]),
            "value": self._group_keys(tensors["value"]),
            "lags": {},
            "tiles": {},
        }
        if not self.lags_repeat:
            self.slices["lags"] = map_tensors(self._group_lags, self.lags)
        key_mask = self.keys.mask(self.rules.key_mask, self.rows)
        if key_mask is not None:
            self.slices["key_mask"] = self._group_keys(key_mask)
        self.add_queries({"query": tensors["query"]})
        if self.parts:
            self._add_bounds()
        if dropout is not None:
            queries = ops.arange(0, self.num_queries, dtype="int32")
            queries = queries + self.rules.first_query
            self.add_queries({"bits": dropout.query_bits(rows, queries)})

    def add_queries(self, tensors, fill=None):
        """Divides further tensors `(rows, T, ...)` among the tiles.

        Args:
            tensors: Dictionary of tensors, or of dictionaries of them.
            fill: The number that pads the last tile; `None` for its first entries.
        """

        def divide(x):
            x = self._group(x, fill)
            groups, g, _, *rest = ops.shape(x)
            x = _fill(x, self.keys.tile_queries, 2, fill)
            x = ops.reshape(x, (groups, g, -1, self.keys.tile_queries, *rest))
            return ops.swapaxes(x, 1, 2)

        self.slices["tiles"] |= map_tensors(divide, tensors)

    def with_keys(self, queries, compute):
        """Runs a function with the keys of a tile, in packed rows of its segments only.

        Args:
            queries: One iteration of the loop over the tiles.
            compute: Function of the keys: `WholeRows`, a `Part` of them, or `Windows`.
        """
        if not self.parts:
            return compute(self.keys)
        low, high = ops.min(queries["low"]), ops.max(queries["high"])
        first, end = backend.known(low), backend.known(high)
        if first is not None and end is not None:
            last_low, first_high = ops.max(queries["low"]), ops.min(queries["high"])
            one = backend.known(last_low) == first
            one = one and (self.rules.causal or backend.known(first_high) == end)
            return compute(Part(self.keys, first, max(end - first, 1), one))

        def within(size):
            first = ops.minimum(low, self.keys.num_seen - size)
            return lambda: compute(Part(self.keys, first, size))

        too_small = (ops.cast(high - low > size, "int32") for size in self.parts[:-1])
        return backend.switch(sum(too_small), [within(size) for size in self.parts])

    def join_queries(self, x):
        """`(groups, tiles, g, t, ...)` to `(rows, T, ...)`."""
        rest = ops.shape(x)[4:]
        x = ops.swapaxes(x, 1, 2)
        x = ops.reshape(x, (-1, self.keys.num_tiles * self.keys.tile_queries, *rest))
        return x[: self.rows, : self.num_queries]

    def join_keys(self, x):
        """`(groups, g, ..., S)` to `(rows, ..., S)`."""
        x = ops.reshape(x, (-1, *ops.shape(x)[2:]))[: self.rows]
        return self.keys.unpad(x)

    def _sizes_of_parts(self):
        """The numbers of keys that a tile may have, or nothing if it has all keys."""
        num_keys = self.keys.num_seen
        if not self.rules.in_order or not isinstance(num_keys, int):
            return []
        if self.passes.window is not None or num_keys <= LEAST_KEYS:
            return []
        sizes = (num_keys * part // MOST_PARTS for part in range(1, MOST_PARTS))
        return [*(size for size in sizes if size >= LEAST_KEYS), num_keys]

    def _add_bounds(self):
        """Adds the first key and the last that each query may see."""
        segments = self.rules.key_segments
        low, high = segment_bounds(segments)
        if self.rules.causal:
            steps = ops.arange(0, self.num_queries, dtype="int32")
            high = ops.minimum(high, steps + 1)

        batch, heads = ops.shape(low)[0], self.rules.heads
        low, high = (repeated(x, batch, heads) for x in (low, high))
        self.add_queries({"low": low}, fill=self.num_queries)
        self.add_queries({"high": high}, fill=0)

    def _row_group(self):
        """Number of rows in a tile, and whether they are whole batch elements.

        These have the same lags, one row after the other for each head.
        """
        if not isinstance(self.rows, int) and not ops.is_tensor(self.rows):
            # JAX exports models for any batch size, a symbol that cannot be compared.
            return 1, False
        elements = self.keys.tile_queries * self.keys.num_seen
        rows = self.passes.tile_elements // elements
        heads = self._num_lags()
        if heads and isinstance(rows, int) and rows >= heads:
            batch = self.rows // heads
            return even_size(_clip(rows // heads, 1, batch), batch) * heads, True
        return even_size(_clip(rows, 1, self.rows), self.rows), False

    def _num_lags(self):
        """Rows of the tables of lags, or 0 if there are none."""
        return next((x.shape[0] for x in self.lags.values()), 0)

    def of_each_row(self, x):
        """Something of the lags `(H, ...)` for all rows of a tile, `(g, ...)`."""
        heads, *rest = ops.shape(x)
        if not self.lags_repeat or self.spans.count > 1:
            return x
        x = ops.broadcast_to(x[None], (self.row_group // heads, heads, *rest))
        return ops.reshape(x, (-1, *rest))

    def _num_spans(self):
        """Number of spans of keys that a tile of one row is divided into."""
        num_keys, least = self.keys.num_seen, self.passes.key_span
        divides = least is not None and isinstance(num_keys, int) and not self.parts
        if not divides or self.row_group != 1 or self.rules.pairs is not None:
            return 1
        sizes = range(least, 2 * least)
        return next((num_keys // s for s in sizes if num_keys % s == 0), 1)

    def _group(self, x, fill=None):
        """`(rows, ...)` to `(groups, g, ...)`."""
        x = _fill(x, self.row_group, 0, fill)
        return ops.reshape(x, (-1, self.row_group, *ops.shape(x)[1:]))

    def _group_keys(self, x):
        return self._group(self.keys.pad(x))

    def _group_lags(self, x):
        return self._group(as_lags(x, self.rows // x.shape[0]))


class RowGroup:
    """Some rows, with the keys of their tiles.

    Args:
        layout: The `Layout`.
        slices: One iteration of the loop over its `slices`.
    """

    def __init__(self, layout, slices):
        self.layout = layout
        self.slices = slices

        def of_rows(x):
            return layout.keys.of_rows(x, layout.spans)

        self.columns = map_tensors(of_rows, {x: slices[x] for x in ("key", "value")})
        key_mask = slices.get("key_mask")
        self.key_mask = None if key_mask is None else of_rows(key_mask)
        lags = layout.lags if layout.lags_repeat else slices["lags"]
        self.bands = map_tensors(lambda x: layout.keys.band(x, layout.spans), lags)

    def tile(self, queries, index, keys):
        """The tile of one iteration of the loop over the tiles of these rows."""
        return Tile(self, queries, index, keys)

    def zeros(self):
        """The gradients of keys before the first tile."""
        return map_tensors(ops.zeros_like, self.columns)

    def joined(self, columns):
        """The gradients of all keys, `(g, ..., S)`."""
        layout = self.layout
        return map_tensors(lambda x: layout.keys.joined(x, layout.spans), columns)


class Tile:
    """Some queries of some rows, and the keys that they see.

    Args:
        group: The `RowGroup`.
        queries: One iteration of the loop over its tiles.
        index: The index of the tile.
        keys: Which keys it sees, from `Layout.with_keys`.
    """

    def __init__(self, group, queries, index, keys):
        self._group, self._layout, self._index = group, group.layout, index
        self._keys, self._spans = keys, self._layout.spans
        self._first = index * self._keys.tile_queries
        columns = map_tensors(self._seen, group.columns)
        self._key_mask = group.key_mask
        if group.key_mask is not None:
            hides = self._layout.rules.key_mask is not None
            hides = hides or self._keys.may_pass_the_end(self._first)
            self._key_mask = self._seen(group.key_mask) if hides else None
        self._bits = queries.get("bits")
        self.value = columns["value"]
        self.arguments = {
            "query": map_tensors(self._spans.repeat, queries["query"]),
            "key": columns["key"],
            "parameters": self._layout.parameters,
        }

    def score(self, arguments):
        """The logits of the score for its arguments."""
        lags = {
            name: self._layout.of_each_row(
                self._keys.lags(band, self._index, self._spans)
            )
            for name, band in self._group.bands.items()
        }
        query = {**arguments["query"], **lags}
        return self._layout.passes.score(
            query, arguments["key"], *arguments["parameters"]
        )

    def masked(self, logits):
        """The logits, `-inf` where a key is hidden from a query."""
        rules = self._layout.rules
        if self._keys.one_segment:
            rules = rules.without_segments()
        if not rules.hide_keys(self._key_mask):
            return logits
        rows = self._spans.repeat(self._group.slices["rows"])
        of = self._queries(), self._numbers(), self._key_mask
        return rules.hide(logits, rows, *of)

    def kept(self):
        """Which weights to keep, or `None` without dropout."""
        dropout = self._layout.rules.dropout
        if dropout is None:
            return None
        return dropout.kept(self._spans.repeat(self._bits), self._numbers())

    def drop(self, weights, kept):
        """The weights that are kept, else zero. May overwrite `weights`."""
        return weights if kept is None else backend.keep_only(weights, kept)

    def sum_spans(self, x):
        """The sum over the spans of keys for each query: `(g, t, ...)`."""
        return self._spans.sum(x)

    def add_keys(self, totals, parts):
        """Adds the gradients of this tile's keys to those of all keys so far."""
        return map_tensors(
            lambda total, x: self._keys.add(total, x, self._first, self._spans),
            totals,
            parts,
        )

    def _queries(self):
        """The indices of the queries, `(t,)`."""
        layout = self._layout
        index = ops.arange(0, self._keys.tile_queries, dtype="int32") + self._first
        # The last tile is padded with the first queries.
        return ops.mod(index, layout.num_queries) + layout.rules.first_query

    def _numbers(self):
        """The indices of the keys, `(1, s)` or `(spans, s)`."""
        numbers = self._keys.numbers(self._first)
        return self._spans.divide(numbers[None])

    def _seen(self, x):
        return self._keys.of_tile(x, self._first, self._spans)


def _keys_of_tiles(passes, num_queries, num_keys):
    """How the tiles of a call find their keys: `WholeRows` or `Windows`."""
    if passes.window is not None:
        return Windows(passes.window, num_queries, num_keys)
    most = passes.tile_elements // num_keys
    queries = _clip(most, passes.least_queries, num_queries)
    return WholeRows(even_size(queries, num_queries), num_queries, num_keys)


def _fill(x, size, axis, fill=None):
    """Pads an axis to a multiple of a size.

    The results for the new entries are dropped, but must be finite until then.

    Args:
        x: A tensor.
        size: The size.
        axis: 0 or 2.
        fill: The number to pad it with; `None` for its own first entries.
    """
    missing = -ops.shape(x)[axis] % size
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
