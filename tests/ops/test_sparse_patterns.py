"""Patterns of blocks: what they show, at any length and on any backend."""

import numpy as np
import pytest
from keras import ops

from keras_twa.ops.softmax import sparse_patterns
from keras_twa.ops.softmax.sparse_patterns import BigBird
from keras_twa.ops.softmax.sparse_patterns import Fixed
from keras_twa.ops.softmax.sparse_patterns import Strided
from keras_twa.ops.softmax.sparse_patterns import Table
from keras_twa.ops.softmax.sparse_patterns import block_mask
from keras_twa.ops.softmax.sparse_patterns import groups_of

SEED_ONE = BigBird(num_window=2, num_global=1, num_random=3, seed=1)
TABLE = Table.of(np.random.default_rng(0).random((24, 24)) < 0.5)
PATTERNS = (Strided(3), Fixed(4, 1), Fixed(4, 0), SEED_ONE, BigBird(1, 0, 0, 0))
every_pattern = pytest.mark.parametrize("pattern", PATTERNS, ids=str)


def drawing(pattern, num_blocks):
    """Return a mask as lines of text."""
    mask = block_mask(pattern, num_blocks)
    return ["".join(".#"[int(seen)] for seen in row) for row in mask]


def test_strided():
    assert drawing(Strided(2), 5) == ["###.#", "####.", "#####", ".####", "#.###"]


def test_fixed():
    assert drawing(Fixed(2, 1), 5) == ["##.#.", "##.#.", ".###.", ".###.", ".#.##"]


def test_bigbird():
    window_and_global = drawing(BigBird(2, 1, 0, 0), 5)
    assert window_and_global == ["#####", "###..", "####.", "#.###", "#..##"]
    random = block_mask(BigBird(1, 0, 3, 1), 64)
    assert (random == random.T).all()
    before = np.tril(random, -1).sum(axis=1)
    # One of each third; the first blocks have fewer than three before them.
    assert before.tolist() == [min(block, 3) for block in range(64)]
    other = block_mask(BigBird(1, 0, 3, 2), 64)
    assert (random != other).any()


def test_random_blocks_are_spread_evenly():
    blocks = np.arange(4096, dtype="int32")
    for count in (7, 8, 64):
        draws = sparse_patterns._hash(blocks, 1, 0) % count
        shares = np.bincount(draws, minlength=count) / 4096 * count
        assert abs(shares - 1).max() < 0.5


@every_pattern
def test_a_longer_sequence_sees_the_same(pattern):
    for causal in (False, True):
        whole = block_mask(pattern, 24, causal)
        assert whole.diagonal().all()
        for count in (1, 7, 23):
            assert (block_mask(pattern, count, causal) == whole[:count, :count]).all()


@pytest.mark.parametrize("pattern", [*PATTERNS, TABLE], ids=str)
def test_tensors_see_what_arrays_see(pattern):
    blocks = ops.arange(24, dtype="int32")
    seen = pattern(blocks[:, None], blocks[None, :])
    assert (ops.convert_to_numpy(seen) == block_mask(pattern, 24)).all()


@every_pattern
@pytest.mark.parametrize("causal", [False, True])
def test_groups_hold_each_block_once(pattern, causal):
    mask = block_mask(pattern, 64, causal)
    groups = groups_of(pattern, 64, causal)
    assert sorted(np.concatenate([group.queries for group in groups])) == [*range(64)]
    for group in groups:
        if group.keys is None:
            assert mask[group.queries].sum(axis=1).max() > 32
            continue
        for block, keys in zip(group.queries, group.keys, strict=True):
            assert (keys[keys < 64] == np.flatnonzero(mask[block])).all()


def test_global_blocks_do_not_fill_up_the_others():
    groups = groups_of(SEED_ONE, 64, False)
    assert [group.queries.tolist() for group in groups if group.keys is None] == [[0]]
    assert max(group.keys.shape[1] for group in groups if group.keys is not None) < 24
