"""The benchmark measures, and gives no ratio to a layer that is wrong."""

import argparse
import importlib.util
from pathlib import Path

import keras
import pytest

from keras_twa import layers

PLACE = Path(__file__).resolve().parents[2] / "benchmarks" / "attention.py"
SIZES = argparse.Namespace(length=16, batch=2, heads=2, dim=4, repeats=2)


@pytest.fixture(scope="module")
def benchmark():
    """Return the benchmark as a module."""
    spec = importlib.util.spec_from_file_location("benchmark", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class WrongAttention(layers.DotProductAttention):
    """Is a little off, but not on the route that returns the weights."""

    def attend(self, *arguments):
        outputs = super().attend(*arguments)
        return outputs if isinstance(outputs, tuple) else keras.ops.add(outputs, 0.01)


@pytest.mark.parametrize("name", ["keras MultiHeadAttention", "gravitational"])
def test_measures(benchmark, name):
    result = benchmark.measure(name, SIZES)
    assert result["agrees"]
    assert len(result["seconds"]) == 2
    assert min(result["seconds"]) <= result["median"] <= max(result["seconds"])
    assert result["parameters"] > 0


@pytest.mark.parametrize(
    ("layer", "agrees"), [(layers.DotProductAttention, True), (WrongAttention, False)]
)
def test_knows_a_wrong_layer(benchmark, layer, agrees):
    layer = layer(num_heads=2, key_dim=4)
    layer.build((None, None, 8))
    x = keras.random.normal((2, 37, 8), seed=1)
    assert benchmark.equals_dense_route(layer, x) is agrees


def test_a_wrong_layer_gets_no_ratio(benchmark):
    peer = {"agrees": True, "median": 2.0}
    assert benchmark.ratio({"agrees": True, "median": 1.0}, peer, "median") == "0.50"
    wrong = benchmark.ratio({"agrees": False, "median": 1.0}, peer, "median")
    assert wrong == "WRONG"
