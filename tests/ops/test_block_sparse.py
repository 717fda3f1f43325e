"""Block-sparse attention: what a query sees, and which way is taken."""

from unittest import mock

import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.masks import AttentionMask
from keras_twa.ops import blocked_attention
from keras_twa.ops.softmax import block_sparse
from keras_twa.ops.softmax.sparse_patterns import BigBird
from keras_twa.ops.softmax.sparse_patterns import Fixed
from keras_twa.ops.softmax.sparse_patterns import Strided
from keras_twa.ops.softmax.sparse_patterns import Table
from keras_twa.ops.softmax.sparse_patterns import block_mask
from keras_twa.testing import harness
from keras_twa.testing.checks.bad_input import assert_refused
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask
from tests.few import a_few
from tests.ops.test_local import outputs_and_gradients

BIGBIRD = BigBird(num_window=2, num_global=1, num_random=1, seed=0)
PATTERNS = {
    "strided": Strided(6),
    "fixed": Fixed(4, 1),
    "bigbird": BIGBIRD,
    # Some see nothing of the past, and the last one sees nothing at all.
    "table": Table.of(np.eye(30, k=3, dtype=bool)[:30]),
}


def tensor(mask):
    """Return a mask as a tensor."""
    return ops.convert_to_tensor(mask)


MASKS = {
    "whole": AttentionMask(),
    "causal": AttentionMask(causal=True),
    "left padding": AttentionMask(True, keys=tensor(~lengths_mask([9, 0], 117))),
    "holes": AttentionMask(keys=tensor(random_mask(2, 117, seed=2))),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", a_few(PATTERNS, always=[next(iter(PATTERNS))]))
def test_both_ways_give_the_same(name, mask):
    """At a length that blocks do not divide, with slices that groups do not fill."""
    pattern, length = PATTERNS[name], 117
    inputs = [normal(2, length, 2, width, seed=width) for width in (4, 4, 3)]

    def attend(q, k, v):
        return blocked_attention(q, k, v, pattern, 4, MASKS[mask])

    with mock.patch.object(block_sparse, "route", return_value="tiled"):
        want = outputs_and_gradients(attend, *inputs)
    with (
        mock.patch.object(block_sparse, "route", return_value="blocked"),
        mock.patch.object(block_sparse, "SLICE_ELEMENTS", 2**11),
    ):
        got = outputs_and_gradients(attend, *inputs)
    names = ("output", "gradient to q", "gradient to k", "gradient to v")
    for name, x, y in zip(names, got, want, strict=True):
        harness.assert_close(x, y, name, 1e-5)


def test_a_single_block_hides_its_future():
    inputs = [normal(1, 5, 1, width, seed=width) for width in (4, 4, 3)]
    causal = AttentionMask(causal=True)
    with mock.patch.object(block_sparse, "MOST_CAUSAL_WORK", 1.0):
        assert block_sparse.route(5, 5, BIGBIRD, 8, causal) == "blocked"
        got = harness.to_numpy(blocked_attention(*inputs, BIGBIRD, 8, causal))
    harness.assert_close(got[:, 0], inputs[2][:, 0], "output of the first step", 1e-6)


def test_route():
    def way(queries=4096, keys=4096, pattern=BIGBIRD, mask=None, **options):
        mask = AttentionMask() if mask is None else mask
        return block_sparse.route(queries, keys, pattern, 64, mask, **options)

    assert way() == "blocked"
    assert way(4000, 4000) == "blocked"
    assert way(mask=AttentionMask(causal=True)) == "blocked"
    assert way(256, 256) == "tiled"
    assert way(pattern=Strided(32)) == "tiled"
    assert way(4095) == "tiled"
    assert way(None, None) == "tiled"
    assert way(mask=AttentionMask(pairs=ops.ones((1, 1, 1, 1), "bool"))) == "tiled"
    assert way(dropout=object()) == "tiled"
    assert way(return_weights=True) == "tiled"


@pytest.mark.parametrize(
    "options",
    [
        {"pattern": "random"},
        {"pattern": [[True, False]]},
        {"pattern": [[True, False], [True]]},
        {"pattern": [[1, 0], [0, 1]]},
        {"pattern": np.array([[True, False], [False, False]])},
        {"pattern": []},
        {"pattern": None},
        {"block_size": 0},
        {"stride": 0},
        {"num_window_blocks": 0},
        {"num_global_blocks": -1},
        {"num_random_blocks": 1.5},
        {"pattern_seed": None},
    ],
    ids=str,
)
def test_refuses_bad_options(options):
    assert_refused(lambda: layers.SparseAttention(2, 4, **options))


def test_refuses_more_steps_than_a_mask_is_for():
    layer = layers.SparseAttention(2, 4, pattern=np.ones((2, 2), bool), block_size=3)
    x = normal(1, 7, 5)
    assert layer(x[:, :6]).shape == (1, 6, 5)
    assert_refused(lambda: layer(x))
    _, state = layer(x[:, :6], use_causal_mask=True, return_state=True)
    assert_refused(lambda: layer.step(x[:, 6], state))
    state = layer.initial_state(1, max_length=7)
    assert_refused(lambda: layer.step(x[:, 6], state))


def test_a_mask_of_its_own_equals_the_same_pattern_by_name():
    options = {"num_heads": 2, "key_dim": 4, "block_size": 2}
    named = layers.SparseAttention(**options, pattern="strided", stride=3)
    lists = block_mask(Strided(3), 5).tolist()
    given = layers.SparseAttention(**options, pattern=lists)
    x = normal(2, 9, 6)
    for layer in (named, given):
        layer.build(x.shape)
    harness.copy_weights(named, given)
    want, got = (harness.to_numpy(layer(x)) for layer in (named, given))
    harness.assert_close(got, want, "output", 1e-6)
