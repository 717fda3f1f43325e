"""The tiled kernel with scores of its own, and the dropout it recomputes."""

from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops import WeightDropout
from keras_twa.ops import backend
from keras_twa.ops import squared_distance
from keras_twa.ops import tiled_attention
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask
from keras_twa.testing.scenarios import route


def nearness(queries, keys):
    """Score a pair by how near it is, and by a bonus of the key."""
    return keys["bonus"] - squared_distance(queries["q"], keys["k"])


def loop(q, k, bonus, v, visible):
    """Return what `tiled_attention` must give for `nearness`, pair by pair."""
    output = np.zeros((*q.shape[:3], v.shape[-1]))
    for b, i, h in np.ndindex(q.shape[:3]):
        keys = np.flatnonzero(visible[b, h, i])
        if len(keys):
            away = q[b, i, h].astype("float64") - k[b, keys, h]
            logits = bonus[b, keys, h, 0] - (away**2).sum(-1)
            weights = np.exp(logits - logits.max())
            output[b, i, h] = weights @ v[b, keys, h] / weights.sum()
    return output


@pytest.mark.parametrize("tile_elements", [None, 1, 6, 20, 66, 67, 400])
def test_any_score_in_any_tiles(tile_elements):
    batch, queries, keys, heads = 2, 11, 6, 3
    q, k = normal(batch, queries, heads, 4), normal(batch, keys, heads, 4, seed=1)
    bonus, v = normal(batch, keys, heads, 1, seed=2), normal(batch, keys, heads, 5)
    pairs = random_mask(batch, 1, queries, keys)
    pairs[0, :, 2] = False
    mask = AttentionMask(pairs=ops.convert_to_tensor(pairs))
    with route("default" if tile_elements is None else "tiled", tile_elements):
        got = tiled_attention(
            nearness, {"q": q}, {"k": k, "bonus": bonus}, ops.convert_to_tensor(v), mask
        )
    visible = np.broadcast_to(pairs, (batch, heads, queries, keys))
    assert_close(to_numpy(got), loop(q, k, bonus, v, visible), "output", 1e-5)


@dataclass(frozen=True)
class Faded:
    """Score a pair by its inner product, and by what depends on its lag."""

    def __call__(self, queries, keys):
        product = ops.matmul(queries["q"], keys["k"])
        return product * queries["factor"] + queries["bonus"]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tile_elements", [None, 12, 30])
# No block, one that divides the number of keys, and one that does not.
@pytest.mark.parametrize("key_span", [None, 3, 4])
def test_what_depends_on_the_lag_and_keys_in_blocks(tile_elements, key_span, causal):
    batch, queries, keys, heads = 2, 7, 6, 3
    queries = keys if causal else queries
    q, k = normal(batch, queries, heads, 4), normal(batch, keys, heads, 4, seed=1)
    v = normal(batch, keys, heads, 5, seed=2)
    lags = {
        "factor": normal(heads, queries + keys - 1, seed=3),
        "bonus": normal(heads, queries + keys - 1, seed=4),
    }
    real = np.array([[True] * 5 + [False], [False, True] * 3])
    expected = np.zeros((batch, queries, heads, 5))
    for b, i, h in np.ndindex(batch, queries, heads):
        seen = [j for j in range(keys) if real[b, j] and not (causal and j > i)]
        if seen:
            at = i - np.array(seen) + keys - 1
            logits = k[b, seen, h].astype("float64") @ q[b, i, h]
            logits = logits * lags["factor"][h, at] + lags["bonus"][h, at]
            weights = np.exp(logits - logits.max())
            expected[b, i, h] = weights @ v[b, seen, h] / weights.sum()

    def attend(**options):
        return tiled_attention(
            Faded(),
            {"q": q},
            {"k": k},
            ops.convert_to_tensor(v),
            AttentionMask(causal, keys=ops.convert_to_tensor(real)),
            lags={name: ops.convert_to_tensor(x) for name, x in lags.items()},
            **options,
        )

    with (
        route("default" if tile_elements is None else "tiled", tile_elements),
        mock.patch.object(backend, "KEY_SPAN", key_span),
    ):
        assert_close(to_numpy(attend()), expected, "output", 1e-5)
    output, _ = attend(return_weights=True)
    assert_close(to_numpy(output), expected, "output with weights", 1e-5)


def dropped(rate, seed, rows, queries, keys=40):
    """Return what dropout leaves of weights that are all 1."""
    weights = ops.ones((len(rows), len(queries), keys))
    drop = WeightDropout(rate, ops.convert_to_tensor(seed, dtype="int32"))
    rows, queries, keys = (
        ops.convert_to_tensor(x, dtype="int32") for x in (rows, queries, range(keys))
    )
    kept = drop.kept(drop.query_bits(rows, queries), keys[None])
    return to_numpy(backend.keep(weights, kept) * drop.scale)


def test_dropout_does_not_depend_on_the_tile():
    whole = dropped(0.3, [5, 9], range(6), range(30))
    part = dropped(0.3, [5, 9], range(2, 5), range(7, 19))
    np.testing.assert_array_equal(whole[2:5, 7:19], part)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_at_its_rate_along_every_axis(rate):
    kept = dropped(rate, [123, 456], range(40), range(40)) > 0
    assert abs(kept.mean() - (1 - rate)) < 0.01
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        assert np.abs(kept.mean(axis=others) - (1 - rate)).max() < 0.06
    flat = kept - kept.mean()
    for axis in range(3):
        ahead = np.roll(flat, 1, axis=axis)
        assert abs((flat * ahead).mean()) < 0.01, "neighbours are alike"


def test_dropout_differs_between_seeds_and_scales_what_stays():
    first, second = (
        dropped(0.4, seed, range(8), range(8)) for seed in ([1, 2], [1, 3])
    )
    assert (first != second).mean() > 0.3
    assert_close(first[first > 0], np.full((first > 0).sum(), 1 / 0.6), "kept", 1e-6)
