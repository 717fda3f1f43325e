"""Block-sparse attention."""

import itertools
import math

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import numbers
from tests.references.parts import prepare


def wrapped(x):
    """Return an integer as 32 bits with a sign keep it."""
    return (x + 2**31) % 2**32 - 2**31


def drawn(block, part, seed):
    """Return a number from 0 to 32767 that looks random."""
    x = block + (part * 40503 + seed * 69069 + 12345) % 2**31
    for factor in (0x7FEB352D, 0x2C1B3C6D, 0x297A2D39):
        x = wrapped(wrapped(x) * factor)
        x = wrapped(x + x // 2**15)
    return x // 2**16 % 2**15


def random_blocks(block, count, seed):
    """Return the random blocks before a block, one of each of `count` equal parts."""
    ends = [block * part // count for part in range(count + 1)]
    return {
        first + drawn(block, part, seed) % (end - first)
        for part, (first, end) in enumerate(itertools.pairwise(ends))
        if end > first
    }


def sees(
    a,
    b,
    pattern,
    stride=8,
    num_window_blocks=2,
    num_global_blocks=1,
    num_random_blocks=3,
    pattern_seed=0,
):
    """Return whether block `a` of queries sees block `b` of keys."""
    if not isinstance(pattern, str):
        return pattern[a][b]
    if pattern == "strided":
        return abs(a - b) < stride or (a - b) % stride == 0
    if pattern == "fixed":
        return a // stride == b // stride or b % stride >= stride - num_global_blocks
    near = abs(a - b) < num_window_blocks
    random = random_blocks(max(a, b), num_random_blocks, pattern_seed)
    return near or min(a, b) < num_global_blocks or min(a, b) in random


def sparse(
    weights,
    query,
    value,
    key=None,
    *,
    pattern="bigbird",
    block_size=64,
    stride=8,
    num_window_blocks=2,
    num_global_blocks=1,
    num_random_blocks=3,
    pattern_seed=0,
    **call,
):
    """Return softmax(q.k / sqrt(D)) v over the keys of the blocks that are seen.

    Blocks count the steps that are no padding.
    """
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])
    count = numbers(*k.shape[:2], **call)
    options = stride, num_window_blocks, num_global_blocks, num_random_blocks
    for b, h, i, j in np.ndindex(visible.shape):
        if not visible[b, h, i, j]:
            continue
        blocks = count[b, i] // block_size, count[b, j] // block_size
        visible[b, h, i, j] = sees(*blocks, pattern, *options, pattern_seed)

    def logit(b, h, i, j):
        return (q[b, i, h] @ k[b, j, h]) * scale

    return finish(weights, *attend(logit, visible, v))
