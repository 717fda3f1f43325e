"""The routes of discounted scores: which is taken, and that all give the same."""

from unittest import mock

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.masks import AttentionMask
from keras_twa.ops import WeightDropout
from keras_twa.ops.softmax import discounted
from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal

LENGTH = 800
CALLS = {
    "causal": {"use_causal_mask": True},
    "padded": {"lengths": (750, 90)},
}


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        ("windowed", {"discount": 0.6}),
        ("tiled", {"discount": 0.99}),
        ("windowed", {"discount": 0.99, "num_queries": 16384, "num_keys": 16384}),
        ("windowed", {"discount": 0.6, "mask": AttentionMask(causal=True)}),
        ("windowed", {"discount": 0.6, "adds": True, "mask": AttentionMask(True)}),
        ("folded", {"discount": 0.99, "adds": True, "mask": AttentionMask(True)}),
        ("tiled", {"discount": 0.99, "adds": True}),
        (
            "tiled",
            {
                "discount": 0.99,
                "adds": True,
                "plain": False,
                "mask": AttentionMask(True),
            },
        ),
        ("tiled", {"discount": 0.6, "num_queries": None, "num_keys": None}),
        ("tiled", {"discount": 0.6, "num_queries": LENGTH - 1}),
        ("tiled", {"discount": 0.6, "num_queries": 40, "num_keys": 40}),
        ("tiled", {"discount": 0.6, "dropout": WeightDropout(0.1, None)}),
        (
            "tiled",
            {"discount": 0.6, "mask": AttentionMask(pairs=np.ones((1, 1, 1, 1)))},
        ),
    ],
)
def test_route(expected, options):
    options = {
        "adds": False,
        "plain": True,
        "num_queries": LENGTH,
        "num_keys": LENGTH,
        "mask": AttentionMask(),
        **options,
    }
    assert discounted.route(**options) == expected


def taken(call):
    """Return what a call gave, and the routes that its timescales took."""
    ways = []

    def watched(*arguments):
        ways.append(real(*arguments))
        return ways[-1]

    real = discounted.route
    with mock.patch.object(discounted, "route", watched):
        return call(), ways


@pytest.mark.parametrize("scenario", CALLS)
@pytest.mark.parametrize(
    ("name", "options", "causal_ways", "ways"),
    [
        (
            "multi_timescale",
            {"discounts": (0.5, 0.7, 0.99)},
            ["windowed", "windowed", "tiled"],
            ["windowed", "windowed", "tiled"],
        ),
        (
            "multi_timescale",
            {"discounts": (0.3, 0.99), "discount": "additive"},
            ["windowed", "folded"],
            ["windowed", "tiled"],
        ),
        (
            "gravitational_multi_timescale",
            {"discounts": (0.99, 0.6)},
            ["tiled", "windowed"],
            ["tiled", "windowed"],
        ),
    ],
)
def test_routes_agree(name, options, causal_ways, ways, scenario):
    call = {"query": normal(2, LENGTH, 6), **CALLS[scenario]}
    call["value"] = call["query"]
    expected = causal_ways if "causal" in scenario else ways
    real = np.ones((2, LENGTH), bool)
    if "lengths" in call:
        real = lengths_mask(call.pop("lengths"), LENGTH)
        call |= {"query_mask": real, "value_mask": real}
    layer = layers.get(name, num_heads=2, key_dim=4, **options)
    layer.build((None, None, 6), (None, None, 6))
    harness.randomise(layer)
    # In the order of magnitude of a gradient in training; nothing from padding.
    cotangent = normal(2, LENGTH, 6, seed=1) * real[:, :, None]
    fast, found = taken(lambda: harness.run_with_gradients(layer, call, cotangent))
    assert found == expected
    # Positions that the caller gives are not looked at: they take the tiled route.
    for name in ("query_positions", "key_positions"):
        call[name] = np.arange(LENGTH, dtype="float32")
    slow, found = taken(lambda: harness.run_with_gradients(layer, call, cotangent))
    assert not found
    assert_close(fast.output, slow.output, "output", 1e-5)
    for what, gradient in slow.gradients().items():
        scale = max(1.0, np.abs(gradient).max())
        assert_close(fast.gradients()[what] / scale, gradient / scale, what, 2e-5)
