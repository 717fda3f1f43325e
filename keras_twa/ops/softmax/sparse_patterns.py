"""Patterns of block-sparse attention: which blocks of a sequence see which.

A pattern is a function of any number of blocks at once: `pattern(i, j)` takes indices
`i` of blocks of queries and `j` of blocks of keys, as NumPy arrays or tensors that
broadcast, and returns booleans. The result does not depend on the number of blocks, so
it is the same in a longer sequence, or in one that arrives step by step.
"""

import functools
from dataclasses import dataclass

import numpy as np
from keras import ops

# A group is split if that saves this share of its work, and the halves once more.
LEAST_SAVING, SPLITS = 0.2, 2


@dataclass(frozen=True)
class Strided:
    """Blocks less than `stride` apart, and those a multiple of `stride` apart.

    Args:
        stride: Number of blocks.
    """

    stride: int

    def __call__(self, i, j):
        return (abs(i - j) < self.stride) | ((i - j) % self.stride == 0)


@dataclass(frozen=True)
class Fixed:
    """The blocks of the same span, and the last blocks of each span.

    Args:
        stride: Number of blocks in a span.
        num_summaries: How many blocks at the end of each span all blocks see.
    """

    stride: int
    num_summaries: int

    def __call__(self, i, j):
        same = i // self.stride == j // self.stride
        # Broadcast to the shape of all pairs: `i` does not matter for summaries.
        place = (j + 0 * i) % self.stride
        return same | (place >= self.stride - self.num_summaries)


@dataclass(frozen=True)
class BigBird:
    """Nearby blocks, the first blocks, and for each block some random earlier blocks.

    If one block sees another, the other sees it, too. The blocks before a block are cut
    into as many equal parts as it has random blocks. One block is drawn from each part,
    so no two are the same.

    Args:
        num_window: How many blocks back a block sees, including itself.
        num_global: How many of the first blocks are global.
        num_random: How many random blocks there are for each block.
        seed: Determines the random blocks.
    """

    num_window: int
    num_global: int
    num_random: int
    seed: int

    def __call__(self, i, j):
        later, earlier = _maximum(i, j), -_maximum(-i, -j)
        seen = (later - earlier < self.num_window) | (earlier < self.num_global)
        for part in range(self.num_random):
            first = later * part // self.num_random
            count = later * (part + 1) // self.num_random - first
            draw = _hash(later, part, self.seed) % _maximum(count, 1)
            seen = seen | ((count > 0) & (earlier == first + draw))
        return seen


@dataclass(frozen=True)
class Table:
    """A mask of blocks that was made elsewhere.

    Args:
        num_blocks: Number of blocks in the mask.
        cells: Its rows, one byte for each cell.
    """

    num_blocks: int
    cells: bytes

    @classmethod
    def of(cls, mask):
        """The pattern of a boolean array `(n, n)`."""
        return cls(len(mask), np.asarray(mask, "bool").tobytes())

    def __call__(self, i, j):
        cells = np.frombuffer(self.cells, "bool")
        if isinstance(i, np.ndarray):
            return cells[i * self.num_blocks + j]
        last = self.num_blocks - 1
        index = ops.clip(i, 0, last) * self.num_blocks + ops.clip(j, 0, last)
        return ops.take(ops.convert_to_tensor(cells), index)


def block_mask(pattern, num_blocks, causal=False):
    """A pattern as a boolean NumPy array `(n, n)` of queries and keys."""
    blocks = np.arange(num_blocks, dtype="int32")
    mask = np.asarray(pattern(blocks[:, None], blocks[None, :]))
    return np.tril(mask) if causal else mask


@dataclass(frozen=True)
class Group:
    """Some blocks of queries, each with the same number of blocks of keys.

    Args:
        queries: Integer array `(m,)`.
        keys: Integer array `(m, K)`, padded with the number of all blocks. `None` for
            blocks that see most others.
        whole: Whether they see all blocks, and all steps in them.
    """

    queries: np.ndarray
    keys: np.ndarray | None
    whole: bool


@functools.lru_cache(maxsize=128)
def groups_of(pattern, num_blocks, causal):
    """The groups of all blocks, those that see fewest first."""
    visible = block_mask(pattern, num_blocks, causal)
    counts = visible.sum(axis=1)
    order = np.argsort(counts, kind="stable")
    groups = []
    for queries in _split(order, counts, SPLITS):
        most = max(1, counts[queries[-1]])
        if 2 * most > num_blocks:
            # Within a block, a causal call hides later steps.
            whole = not causal and bool(visible[queries].all())
            groups.append(Group(queries, None, whole))
            continue
        keys = np.full((len(queries), most), num_blocks, "int32")
        for row, block in zip(keys, queries, strict=True):
            seen = np.flatnonzero(visible[block])
            row[: len(seen)] = seen
        groups.append(Group(queries, keys, False))
    return groups


def _split(queries, counts, splits):
    """Splits sorted blocks of queries where that saves most work, if it saves much."""
    first, last = counts[queries[:-1]], counts[queries[-1]]
    before = np.arange(1, len(queries))
    work = before * first + (len(queries) - before) * last
    whole = len(queries) * last
    if not splits or not len(work) or whole - work.min() < LEAST_SAVING * whole:
        return [queries]
    cut = int(work.argmin()) + 1
    halves = queries[:cut], queries[cut:]
    return [part for half in halves for part in _split(half, counts, splits - 1)]


def _maximum(x, y):
    if isinstance(x, np.ndarray):
        return np.maximum(x, y)
    return ops.maximum(x, y)


def _hash(block, part, seed):
    """Well-mixed integers, 0 to 32767, the same for NumPy and every backend.

    Products overflow on purpose. Only operators that all of them support are used.
    """
    x = block + (part * 40503 + seed * 69069 + 12345) % 2**31
    for factor in (0x7FEB352D, 0x2C1B3C6D, 0x297A2D39):
        x = x * factor
        # The low digits of a product are the least mixed, so add the high ones.
        x = x + x // 2**15
    return x // 2**16 % 2**15
