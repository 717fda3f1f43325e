"""Which keys a tile of queries sees: those of whole rows, of a part, or of a window.

`WholeRows` and `Windows` have the same methods. Both may divide the keys of a tile
further, into `KeySpans`. Tensors of keys pass through their methods in this order:
`pad` lengthens them for the whole pass, `of_rows` gives those of a group of rows, and
`of_tile` those that a tile sees. Gradients go back through `add`, `joined` and `unpad`.
A `Part` has the methods for one tile.
"""

import math
from dataclasses import dataclass

from keras import ops

from keras_twa.ops import backend

# Limits on the number of queries in a tile of a window, which grows with the window.
LEAST_QUERIES, MOST_QUERIES = 64, 256


@dataclass(frozen=True)
class Window:
    """The keys that a tile of queries sees: those around it.

    Args:
        queries: Number of queries in a tile.
        before: How many keys before the first query.
        after: How many keys after the last query.
    """

    queries: int
    before: int
    after: int

    @property
    def num_keys(self):
        return self.before + self.queries + self.after


def window_queries(reach):
    """Number of queries in a tile: the power of two closest to `reach`, clipped."""
    queries = 2 ** max(0, round(math.log2(max(reach, 1))))
    return min(max(queries, LEAST_QUERIES), MOST_QUERIES)


@dataclass(frozen=True)
class KeySpans:
    """The keys of a tile of one row, divided into spans of neighbouring keys.

    The tile then looks like one of several rows, with the same queries
    `(spans, t, ...)` in all of them and some of the keys in each, `(spans, ..., s)`.

    Args:
        count: Number of spans. With 1, tensors stay as they are.
    """

    count: int

    def divide(self, x):
        """`(1, ..., S)` to `(spans, ..., s)`."""
        if self.count == 1:
            return x
        x = ops.reshape(x, (*ops.shape(x)[1:-1], self.count, -1))
        # Axes as tuples: PyTorch's `vmap` supports no other form.
        return ops.moveaxis(x, (-2,), (0,))

    def join(self, x):
        """`(spans, ..., s)` to `(1, ..., S)`."""
        if self.count == 1:
            return x
        x = ops.moveaxis(x, (0,), (-2,))
        return ops.reshape(x, (1, *ops.shape(x)[:-2], -1))

    def repeat(self, x):
        """Tensors of queries or of rows `(1, ...)`, once for each span."""
        if self.count == 1:
            return x
        return ops.broadcast_to(x, (self.count, *ops.shape(x)[1:]))

    def sum(self, x):
        """The sum over the spans, `(1, ...)`."""
        return x if self.count == 1 else ops.sum(x, axis=0, keepdims=True)


class WholeRows:
    """Each tile sees all keys.

    Args:
        tile_queries: Number of queries in a tile.
        num_queries: T.
        num_keys: S.
    """

    one_segment = False

    def __init__(self, tile_queries, num_queries, num_keys):
        self.tile_queries = tile_queries
        self.num_tiles = -(-num_queries // tile_queries)
        self.num_seen = num_keys
        self._num_queries = num_queries

    def pad(self, x):
        """`(rows, ..., S)`, unchanged."""
        return x

    def unpad(self, x):
        """`(rows, ..., S)`, unchanged."""
        return x

    def mask(self, key_mask, rows):
        """The mask of keys, unchanged; `None` if there is none."""
        del rows
        return key_mask

    def of_rows(self, x, spans):
        """The spans of the keys of some rows."""
        return spans.divide(x)

    def of_tile(self, x, first, spans):
        """All keys of the rows, for each of their tiles."""
        del first, spans
        return x

    def numbers(self, first):
        """The indices of the keys, `(S,)`."""
        del first
        return ops.arange(0, self.num_seen, dtype="int32")

    def may_pass_the_end(self, first):
        """Whether a tile may have more keys than there are."""
        del first
        return False

    def add(self, total, part, first, spans):
        """Adds the gradients of a tile's keys to those of the tiles before."""
        del first, spans
        return total + part

    def joined(self, total, spans):
        """The gradients of the keys of some rows, without spans."""
        return spans.join(total)

    def band(self, x, spans):
        """The result of `by_lag` for one tile, with the keys of all tiles.

        Args:
            x: `(g, T + S - 1)`.
            spans: The `KeySpans`.
        """
        del spans
        t, others = self.tile_queries, (self.num_tiles - 1) * self.tile_queries
        x = ops.pad(x, [(0, 0), (0, others + t - self._num_queries)])
        return by_lag(x, t, self.num_seen + others)

    def lags(self, band, index, spans):
        """The columns of a tile in the result of `band`."""
        first = (self.num_tiles - 1 - index) * self.tile_queries
        return spans.divide(backend.columns(band, first, self.num_seen))


class Part:
    """A tile of `WholeRows` that sees only some neighbouring keys.

    Args:
        whole: The `WholeRows`.
        first: The first key, an integer or an integer tensor.
        count: How many keys.
        one_segment: Whether each query sees all of them that are not later or padding.
    """

    def __init__(self, whole, first, count, one_segment=False):
        self.tile_queries, self.one_segment = whole.tile_queries, one_segment
        self._whole, self._first, self._count = whole, first, count

    def of_tile(self, x, first, spans):
        """The keys of the part."""
        del first, spans
        return backend.columns(x, self._first, self._count)

    def numbers(self, first):
        """The indices of the keys, `(s,)`."""
        del first
        return ops.arange(0, self._count, dtype="int32") + self._first

    def may_pass_the_end(self, first):
        """Whether a tile may have more keys than there are."""
        del first
        return False

    def add(self, total, part, first, spans):
        """Adds the gradients of a tile's keys to those of all keys so far."""
        del first, spans
        return backend.add_columns(total, part, self._first)

    def lags(self, band, index, spans):
        """The columns of a tile in the result of `WholeRows.band`."""
        lags = self._whole.lags(band, index, spans)
        return backend.columns(lags, self._first, self._count)


class Windows:
    """Each tile sees the keys around it.

    Args:
        window: The `Window`.
        num_queries: T.
        num_keys: S, which equals T.
    """

    one_segment = False

    def __init__(self, window, num_queries, num_keys):
        self.tile_queries = window.queries
        self.num_tiles = -(-num_queries // window.queries)
        self.num_seen = window.num_keys
        self._window, self._num_keys = window, num_keys

    def pad(self, x):
        """Adds columns for the windows of the first and the last tile."""
        window = self._window
        after = window.after - self._num_keys % -window.queries
        beside = [(0, 0)] * (len(x.shape) - 1) + [(window.before, after)]
        return ops.pad(x, beside)

    def unpad(self, x):
        """The columns that were there before `pad`."""
        first = self._window.before
        return x[..., first : first + self._num_keys]

    def mask(self, key_mask, rows):
        """A mask of keys, never `None`: keys that `pad` adds must be hidden."""
        if key_mask is not None:
            return key_mask
        return ops.ones((rows, self._num_keys), dtype="bool")

    def of_rows(self, x, spans):
        """All keys of some rows, not divided into spans."""
        del spans
        return x

    def of_tile(self, x, first, spans):
        """The spans of the keys around the queries from `first` on."""
        return spans.divide(backend.columns(x, first, self.num_seen))

    def numbers(self, first):
        """The indices of the keys, `(s,)`, negative before the first key."""
        keys = ops.arange(0, self.num_seen, dtype="int32")
        return keys + (first - self._window.before)

    def may_pass_the_end(self, first):
        """Whether the window may reach beyond the first or the last key."""
        first = first - self._window.before
        if not isinstance(first, int):
            return True
        return first < 0 or first + self.num_seen > self._num_keys

    def add(self, total, part, first, spans):
        """Adds the gradients of a tile's keys to those of all keys so far."""
        return backend.add_columns(total, spans.join(part), first)

    def joined(self, total, spans):
        """The gradients of the keys of some rows, unchanged."""
        del spans
        return total

    def band(self, x, spans):
        """The result of `by_lag` for one tile, which is the same for all tiles.

        Args:
            x: `(g, T + S - 1)`.
            spans: The `KeySpans`.
        """
        t = self.tile_queries
        last = t + self._window.before + self._num_keys - 1
        x = x[:, last - t - self.num_seen + 1 : last]
        return spans.divide(by_lag(x, t, self.num_seen))

    def lags(self, band, index, spans):
        """The result of `band`."""
        del index, spans
        return band


def by_lag(x, num_queries, num_keys):
    """Expands a table of lags `i - j`, `(g, T + S - 1)`, to all pairs, `(g, T, S)`.

    The first entry is that of the lag -(S - 1), the last one that of T - 1.
    """
    rows, lags = ops.shape(x)
    # Each line is the one above, shifted by one place. Repeating a line of length L + 1
    # and reading the result in lines of length L gives this.
    line = ops.pad(ops.flip(x, axis=-1), [(0, 0), (0, 1)])
    lines = ops.broadcast_to(line[:, None], (rows, num_queries, lags + 1))
    lines = ops.reshape(lines, (rows, -1))[:, : num_queries * lags]
    lines = ops.reshape(lines, (rows, num_queries, lags))
    return lines[:, :, num_queries - 1 :]
