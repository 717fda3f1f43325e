"""The routes for GPUs: which is taken when."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops import Force
from keras_twa.ops import InnerProduct
from keras_twa.ops import WeightDropout
from keras_twa.ops.softmax import fused
from keras_twa.ops.softmax import tiled
from keras_twa.ops.softmax.scores import Discounted
from tests.ops.gpu import BACKEND
from tests.ops.gpu import BATCH
from tests.ops.gpu import HAS_GPU
from tests.ops.gpu import HEADS
from tests.ops.gpu import LENGTH
from tests.ops.gpu import device

# What each backend's own kernel for inner products takes: on a CPU, and on a GPU.
NEVER, ALWAYS, ON_GPU = ("tiled", "tiled"), ("fused", "fused"), ("tiled", "fused")


@pytest.mark.parametrize(
    ("jax", "torch", "options"),
    [
        (ON_GPU, ALWAYS, {}),
        (ON_GPU, ALWAYS, {"dtype": "float16"}),
        (NEVER, ALWAYS, {"dtype": "float32"}),
        (ON_GPU, ALWAYS, {"width": 128}),
        (NEVER, ALWAYS, {"width": 136}),
        (NEVER, ALWAYS, {"value_width": 136}),
        (ON_GPU, ALWAYS, {"mask": AttentionMask(causal=True)}),
        (ON_GPU, ALWAYS, {"mask": AttentionMask(keys=np.ones((2, 9), bool))}),
        (
            NEVER,
            ALWAYS,
            {"mask": AttentionMask(keys=np.ones((2, 9), bool)), "width": 128},
        ),
        (ON_GPU, ALWAYS, {"key_bias": np.ones((2, 9, 3))}),
        (NEVER, ALWAYS, {"mask": AttentionMask(pairs=np.ones((2, 1, 9, 9), bool))}),
        (NEVER, NEVER, {"mask": AttentionMask(causal=True), "num_keys": 10}),
        (ON_GPU, ALWAYS, {"num_keys": 10}),
        (NEVER, NEVER, {"dropout": WeightDropout(0.1, None)}),
        (NEVER, NEVER, {"return_weights": True}),
    ],
)
@pytest.mark.parametrize("gpu", [False, True])
def test_route_of_inner_products(jax, torch, options, gpu):
    options = dict(options)
    dtype = options.pop("dtype", "bfloat16")
    width = options.pop("width", 32)
    num_keys = options.pop("num_keys", 9)
    query = ops.zeros((2, 9, 3, width), dtype)
    key = ops.zeros((2, num_keys, 3, width), dtype)
    value = ops.zeros((2, num_keys, 3, options.pop("value_width", width)), dtype)
    mask = options.pop("mask", AttentionMask())
    expected = {"jax": jax, "torch": torch, "tensorflow": NEVER}[BACKEND]
    with device(gpu):
        assert fused.route(query, key, value, mask, **options) == expected[gpu]


def force_route(
    score, lengths=(LENGTH, LENGTH), width=32, value_width=32, dtype="float32", **rest
):
    """Return the route of a force between tensors of these sizes."""
    queries, keys = lengths
    query = {"query": ops.zeros((BATCH, queries, HEADS, width + 2))}
    key = {"key": ops.zeros((BATCH, keys, HEADS, width + 2))}
    value = ops.zeros((BATCH, keys, HEADS, value_width), dtype)
    query |= rest.pop("further", {})
    return tiled.route(score, query, key, value, **rest)


FORCE = Force(2.0, 0.5)


@pytest.mark.parametrize(
    ("on_torch", "options"),
    [
        ("flex", {"score": FORCE}),
        ("flex", {"score": Force(3.0, 0.5, log=True)}),
        ("flex", {"score": Discounted(FORCE, adds=False)}),
        ("flex", {"score": FORCE, "lengths": (128, 500)}),
        ("tiled", {"score": FORCE, "lengths": (127, 500)}),
        ("tiled", {"score": FORCE, "lengths": (500, 127)}),
        ("flex", {"score": FORCE, "width": 80, "dtype": "bfloat16"}),
        ("tiled", {"score": FORCE, "width": 96, "dtype": "bfloat16"}),
        ("flex", {"score": FORCE, "width": 96}),
        ("tiled", {"score": FORCE, "width": 128}),
        ("tiled", {"score": FORCE, "value_width": 136}),
        ("tiled", {"score": FORCE, "dropout": WeightDropout(0.1, None)}),
        ("tiled", {"score": FORCE, "return_weights": True}),
        ("tiled", {"score": InnerProduct()}),
        ("tiled", {"score": Discounted(InnerProduct(), adds=True)}),
        ("tiled", {"score": lambda query, key: None}),
    ],
)
def test_route_of_forces(on_torch, options):
    with device(gpu=True):
        expected = on_torch if BACKEND == "torch" else "tiled"
        assert force_route(**options) == expected
    with device(gpu=False):
        assert force_route(**options) == "tiled"


def test_discounts_that_are_learned_take_tiles():
    ones = keras.Variable(np.ones((1, LENGTH, HEADS), "float32"), trainable=True)
    learned = {"log_discount": ops.negative(ones.value)}
    fixed = {"log_discount": ops.stop_gradient(learned["log_discount"])}
    score = Discounted(FORCE, adds=False)
    with device(gpu=True):
        assert force_route(score, further=learned) == "tiled"
        found = force_route(score, further=fixed)
    assert found == ("flex" if BACKEND == "torch" else "tiled")


def test_nothing_for_gpus_is_loaded_without_one():
    code = (
        "import sys; import numpy as np; from keras_twa import layers;"
        f"x = np.ones((1, {LENGTH}, 4), 'float32');"
        "layers.GravitationalAttention(1, 4)(x, x);"
        "print('keras_twa.ops.backend.torch_flex' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == str(HAS_GPU and BACKEND == "torch")
