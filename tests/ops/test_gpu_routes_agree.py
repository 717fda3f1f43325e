"""The routes for GPUs give what the tiles give, on any machine."""

import contextlib
import importlib
from unittest import mock

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.ops import backend
from keras_twa.testing import curvature
from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask
from keras_twa.testing.scenarios import timestamps
from tests.ops.gpu import BACKEND
from tests.ops.gpu import BATCH
from tests.ops.gpu import HAS_GPU
from tests.ops.gpu import HEADS
from tests.ops.gpu import LENGTH
from tests.ops.gpu import WIDTH
from tests.ops.gpu import device
from tests.ops.gpu import watched


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
TIMES = {name: timestamps(LENGTH) for name in ("query_positions", "key_positions")}
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
    "sinks": ("dot_product", {"sinks": True}, keys_seen(90, 0)),
    "sinks, causal": ("dot_product", {"sinks": True}, {**CAUSAL, **keys_seen(90, 140)}),
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


def made(name, options, call, dtype="float32"):
    """Return a layer with random weights, and a whole call of it."""
    call = dict(call)
    layer = layers.get(name, num_heads=HEADS, key_dim=4, dtype=dtype, **options)
    queries = call.pop("num_queries", LENGTH)
    call["query"] = normal(BATCH, queries, WIDTH)
    call["value"] = normal(BATCH, LENGTH, WIDTH, seed=1)
    layer.build((None, None, WIDTH), (None, None, WIDTH))
    harness.randomise(layer)
    return layer, call


def run(name, options, call, gpu, dtype="float32"):
    """Return what a layer gives, with gradients, and the routes it took."""
    layer, call = made(name, options, call, dtype)
    cotangent = normal(*call["query"].shape, seed=2)
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


BENT = (
    "causal",
    "log",
    "fading",
    "fading, times, added",
    "padded, causal",
    "biased, all masks",
    "forces",
    "dots",
)


@pytest.mark.parametrize("case", [case for case in BENT if case in CASES])
def test_second_derivatives_agree(case):
    mechanism, options, call, expected = CASES[case]
    if (case, mechanism) == ("causal", GRAVITATIONAL):
        # The first queries see few keys. With forces between near points, their second
        # derivatives are so large that rounding alone exceeds the bound for some seeds.
        options = {**options, "softening": 1.0}
    layer, call = made(mechanism, options, call)
    tensors, weights, _ = curvature.arguments_of(layer, call)
    along = curvature.lines_through({**tensors, **weights}, seed=30)
    cotangent = normal(*call["query"].shape, seed=2)
    arguments = layer, call, cotangent, along
    with fusing_float32(), device(gpu=True), watched() as ways:
        fast = curvature.hessian_vector_product(*arguments)
    if BACKEND == "jax" and HAS_GPU:
        expected = 2 * TILED
    assert ways[: len(expected)] == expected
    with device(gpu=False):
        slow = curvature.hessian_vector_product(*arguments)
    scale = max(np.abs(x).max() for x in slow.values())
    for name, x in slow.items():
        assert_close(fast[name] / scale, x / scale, name, 2e-5)


HALF = ("plain", "causal", "forces", "dots", "biased, all masks", "fading")


@pytest.mark.parametrize("case", [case for case in HALF if case in CASES])
def test_half_precision_stays_close(case):
    *case, expected = CASES[case]
    fast, ways = run(*case, gpu=True, dtype="mixed_bfloat16")
    assert ways == expected
    slow, _ = run(*case, gpu=False, dtype="mixed_bfloat16")
    assert_near(fast, slow, 4e-2)


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
