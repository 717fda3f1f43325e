"""The routes for GPUs: which is taken, and, on any machine, that they give the same.

Without a GPU the backend's kernels run in their slow forms: PyTorch's FlexAttention
without compiling it, and JAX's attention without cuDNN.
"""

import contextlib
import importlib
import subprocess
import sys
from unittest import mock

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.masks import AttentionMask
from keras_twa.ops import Force
from keras_twa.ops import InnerProduct
from keras_twa.ops import WeightDropout
from keras_twa.ops import backend
from keras_twa.ops import fused
from keras_twa.ops import tiled
from keras_twa.ops.scores import Discounted
from tests.contract import harness
from tests.contract.harness import assert_close
from tests.contract.scenarios import lengths_mask
from tests.contract.scenarios import normal
from tests.contract.scenarios import random_mask
from tests.contract.scenarios import timestamps

BACKEND = keras.backend.backend()
HAS_GPU = backend.on_gpu(ops.zeros(1))
BATCH, HEADS, LENGTH, WIDTH = 2, 2, 140, 6


@contextlib.contextmanager
def device(gpu):
    """Answer the question for the device; let kernels run that want a GPU."""
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(backend, "on_gpu", lambda x: gpu))
        if BACKEND == "torch":
            # It refuses gradients on a CPU, and can compute them all the same.
            check = "torch.nn.attention.flex_attention._validate_device"
            patches.enter_context(mock.patch(check))
        if BACKEND == "jax" and not HAS_GPU:
            module = importlib.import_module("keras_twa.ops.backend.jax")
            patches.enter_context(mock.patch.object(module, "FUSED_KERNEL", "xla"))
        yield


@contextlib.contextmanager
def watched():
    """Note which routes are taken."""
    ways = []

    def watching(real):
        def route(*arguments, **options):
            ways.append(real(*arguments, **options))
            return ways[-1]

        return route

    with (
        mock.patch.object(fused, "route", watching(fused.route)),
        mock.patch.object(tiled, "route", watching(tiled.route)),
    ):
        yield ways


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


def keys_seen(*lengths):
    """Return a call whose keys are padded."""
    return {"value_mask": lengths_mask(lengths, LENGTH)}


def everything():
    """Return a call with every mask at once, in which some queries see nothing."""
    pairs = random_mask(BATCH, HEADS, LENGTH, LENGTH)
    pairs[1, :, 7] = False
    return {
        "attention_mask": pairs,
        "use_causal_mask": True,
        "query_mask": lengths_mask((LENGTH, 100), LENGTH),
        "value_mask": ~lengths_mask((5, 0), LENGTH),
    }


CAUSAL = {"use_causal_mask": True}
TIMES = {"query_positions": timestamps(LENGTH)}
GRAVITATIONAL, FADING = "gravitational", "gravitational_multi_timescale"
ADDITIVE = {"discounts": (0.99,), "discount": "additive"}
FORCES = {
    "plain": (GRAVITATIONAL, {}, {}),
    "causal": (GRAVITATIONAL, {}, CAUSAL),
    "causal, more keys": (GRAVITATIONAL, {}, {**CAUSAL, "num_queries": 130}),
    "causal, fewer keys": (GRAVITATIONAL, {}, {**CAUSAL, "num_queries": 270}),
    "padded": (GRAVITATIONAL, {}, keys_seen(90, 0)),
    "pairs of one row": (
        GRAVITATIONAL,
        {},
        {"attention_mask": random_mask(1, 1, LENGTH)},
    ),
    "exponent 1": (GRAVITATIONAL, {"exponent": 1.0}, everything()),
    "log": (GRAVITATIONAL, {"normalization": "force"}, everything()),
    "pairs of the layer's heads": (
        FADING,
        {"discounts": (0.9, 0.99)},
        {"attention_mask": random_mask(BATCH, HEADS, LENGTH, LENGTH)},
    ),
    "log, exponent 3": (
        GRAVITATIONAL,
        {"normalization": "force", "exponent": 3.0},
        CAUSAL,
    ),
    "fading": (FADING, {"discounts": (0.9, 0.99)}, everything()),
    "fading, added": (FADING, ADDITIVE, keys_seen(90, 140)),
    "fading, times": (FADING, {"discounts": (0.9, 0.99)}, {**CAUSAL, **TIMES}),
    "fading, times, added": (FADING, {**ADDITIVE, "normalization": "force"}, TIMES),
}
DOTS = {
    "plain": ("dot_product", {}, {}),
    "cross": ("dot_product", {}, {"num_queries": 30}),
    "causal": ("dot_product", {}, CAUSAL),
    "padded": ("dot_product", {}, keys_seen(90, 0)),
    "padded, causal": ("dot_product", {}, {**CAUSAL, **keys_seen(90, 140)}),
    "padded left, causal": (
        "dot_product",
        {"value_dim": 11},
        {**CAUSAL, "value_mask": ~lengths_mask((5, 0), LENGTH)},
    ),
    "biased": ("temporal_weighted", {"mode": "log_additive"}, TIMES),
    "biased, all masks": (
        "temporal_weighted",
        {"mode": "log_additive"},
        {
            **CAUSAL,
            "query_mask": lengths_mask((LENGTH, 100), LENGTH),
            "value_mask": ~lengths_mask((5, 0), LENGTH),
        },
    ),
    "discounted": ("multi_timescale", ADDITIVE, CAUSAL),
}
FUSED, FLEX, TILED = ["fused"], ["flex"], ["tiled"]
CASES = {
    "torch": {name: (*case, FLEX) for name, case in FORCES.items()},
    "jax": {name: (*case, FUSED) for name, case in DOTS.items()},
    "tensorflow": {
        "dots": (*DOTS["padded, causal"], 2 * TILED),
        "forces": (*FORCES["causal"], TILED),
    },
}[BACKEND]


def run(name, options, call, gpu, dtype="float32"):
    """Return what a layer gives, with gradients, and the routes it took."""
    call = dict(call)
    layer = layers.get(name, num_heads=HEADS, key_dim=4, dtype=dtype, **options)
    queries = call.pop("num_queries", LENGTH)
    call["query"] = normal(BATCH, queries, WIDTH)
    call["value"] = normal(BATCH, LENGTH, WIDTH, seed=1)
    layer.build((None, None, WIDTH), (None, None, WIDTH))
    harness.randomise(layer)
    cotangent = normal(BATCH, queries, WIDTH, seed=2)
    with device(gpu), watched() as ways:
        return harness.run_with_gradients(layer, call, cotangent), ways


def assert_near(fast, slow, tolerance):
    """Assert that outputs and gradients agree on the whole, if not in each place."""
    pairs = {"output": (fast.output, slow.output)}
    gradients = slow.gradients()
    largest = max(np.linalg.norm(gradient) for gradient in gradients.values())
    for what, gradient in gradients.items():
        pairs[what] = fast.gradients()[what], gradient
    for what, (got, expected) in pairs.items():
        scale = np.linalg.norm(expected) if what == "output" else largest
        assert np.linalg.norm(got - expected) <= tolerance * scale, what


def assert_alike(fast, slow, tolerance, gradient_tolerance):
    """Assert that outputs agree, and gradients, measured by the largest of them."""
    scale = np.abs(slow.output).max()
    assert_close(fast.output / scale, slow.output / scale, "output", tolerance)
    gradients = slow.gradients()
    scale = max(np.abs(gradient).max() for gradient in gradients.values())
    for what, gradient in gradients.items():
        got = fast.gradients()[what]
        assert_close(got / scale, gradient / scale, what, gradient_tolerance)


@contextlib.contextmanager
def fusing_float32():
    """Let JAX's kernel take float32, which only cuDNN refuses."""
    if BACKEND != "jax" or HAS_GPU:
        yield
        return
    module = importlib.import_module("keras_twa.ops.backend.jax")
    with mock.patch.object(module, "FUSED_DTYPES", ("float32",)):
        yield


@pytest.mark.parametrize("case", CASES)
def test_routes_agree(case):
    *case, expected = CASES[case]
    with fusing_float32():
        fast, ways = run(*case, gpu=True)
    if BACKEND == "jax" and HAS_GPU:
        expected = 2 * TILED
    assert ways == expected
    slow, _ = run(*case, gpu=False)
    assert_alike(fast, slow, 1e-5, 2e-5)


HALF = ("plain", "causal", "forces", "dots", "biased, all masks", "fading")


@pytest.mark.parametrize("case", [case for case in HALF if case in CASES])
def test_half_precision_stays_close(case):
    *case, expected = CASES[case]
    fast, ways = run(*case, gpu=True, dtype="mixed_bfloat16")
    assert ways == expected
    slow, _ = run(*case, gpu=False, dtype="mixed_bfloat16")
    assert_near(fast, slow, 4e-2)


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


if BACKEND == "torch":

    @pytest.mark.parametrize(
        "lengths", [(128, 128), (300, 300), (129, 500), (500, 129), (1000, 872)]
    )
    def test_causal_blocks_hold_what_is_seen(lengths):
        from torch.nn.attention.flex_attention import create_block_mask

        from keras_twa.ops.backend import torch_flex

        got = torch_flex.causal_blocks(*lengths, "cpu")
        expected = create_block_mask(got.mask_mod, None, None, *lengths, "cpu")
        assert got.shape == expected.shape
        for side in ("kv", "q"):
            for kind in (side, f"full_{side}"):
                count = getattr(got, f"{kind}_num_blocks")[0, 0]
                assert (count == getattr(expected, f"{kind}_num_blocks")[0, 0]).all()
                pair = (getattr(x, f"{kind}_indices")[0, 0] for x in (got, expected))
                for number, *lines in zip(count, *pair, strict=True):
                    mine, theirs = (set(line[:number].tolist()) for line in lines)
                    assert mine == theirs

    def test_further_lengths_compile_nothing_new():
        import torch
        from torch._dynamo.testing import CompileCounterWithBackend

        from keras_twa.ops.backend import torch_flex

        counter = CompileCounterWithBackend("aot_eager")
        compiled = torch.compile(torch_flex.flex_attention, backend=counter)
        found = []
        with (
            mock.patch.object(torch_flex, "flex_attention", compiled),
            mock.patch.object(torch_flex, "_compiled", lambda: compiled),
        ):
            for length in (140, 300, 450, 700):
                x = normal(BATCH, length, WIDTH)
                call = {"query": x, "value": x, **CAUSAL}
                layer = layers.get(FADING, num_heads=HEADS, key_dim=4, **ADDITIVE)
                with device(gpu=True):
                    harness.run_with_gradients(layer, call, x)
                found.append(counter.frame_count)
        # Once as they are, and once more for any.
        assert found == [1, 2, 2, 2]


if BACKEND == "jax":

    @pytest.mark.parametrize("case", ["plain", "padded left, causal", "biased"])
    def test_cudnn_gets_what_it_takes(case):
        import jax

        asked = []

        def spy(query, key, value, *, implementation, mask, **options):
            asked.append((query, key, value, implementation, mask))
            return jax.numpy.zeros_like(query)

        name, options, call, _ = CASES[case]
        layer = layers.get(
            name, num_heads=HEADS, key_dim=4, dtype="mixed_bfloat16", **options
        )
        x = normal(BATCH, LENGTH, WIDTH)
        with (
            mock.patch.object(backend, "on_gpu", lambda x: True),
            mock.patch.object(jax.nn, "dot_product_attention", spy),
        ):
            layer(x, x, **call)
        [(query, key, value, implementation, mask)] = asked
        assert implementation == "cudnn" and mask is None
        assert query.shape == key.shape == value.shape
        assert query.dtype == key.dtype == value.dtype == "bfloat16"
        assert query.shape[-1] % 8 == 0 and query.shape[-1] <= 128
