"""Each function of the running backend against NumPy, and the modules against one list.

What needs a GPU has tests of its own, `test_gpu_routes.py` and its neighbour.
"""

import inspect
from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.backend.interface import Backend
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import normal
from tests.ops.test_local import outputs_and_gradients

NAMES = sorted(name for name in vars(Backend) if not name.startswith("_"))
METHODS = [name for name in NAMES if callable(getattr(Backend, name))]


def tensor(x, dtype="float32"):
    """Return an array as a tensor."""
    return ops.convert_to_tensor(np.asarray(x), dtype=dtype)


def check(got, want, tolerance=1e-6):
    """Compare a tensor with an array."""
    want = np.asarray(want)
    assert tuple(got.shape) == want.shape
    assert_close(to_numpy(got), want, "result", tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_the_package_offers_all_that_a_backend_has(name):
    if name != "prepare_process":
        assert hasattr(backend, name)


@pytest.mark.parametrize("name", METHODS)
def test_arguments_have_the_names_of_the_interface(name):
    want = list(inspect.signature(getattr(Backend, name)).parameters)[1:]
    got = inspect.signature(getattr(backend._module, name)).parameters
    assert list(got) == want


def test_scan_loops_over_parts():
    rows, table = normal(4, 3), normal(4, 2, 3, seed=1)

    def body(carry, part, index):
        total = carry["total"] + part["rows"]
        found = {"total": total, "pair": (part["inner"]["table"] * 2.0,)}
        index = ops.cast(index, "float32")
        return {"total": total, "indices": carry["indices"] + index}, found

    carry, results = backend.scan(
        body,
        {"total": tensor(np.zeros(3)), "indices": tensor(0.0)},
        {"rows": tensor(rows), "inner": {"table": tensor(table)}},
        {"pair": (None,), "total": None},
    )
    check(carry["total"], rows.sum(0))
    check(carry["indices"], 6.0)
    check(results["total"], rows.cumsum(0))
    check(results["pair"][0], 2 * table)


def test_scan_loops_backward():
    rows = normal(4, 3)

    def body(carry, part, index):
        total = carry + part
        return total, {"total": total, "index": ops.cast(index, "float32")}

    names = {"total": None, "index": None}
    zeros = tensor(np.zeros(3))
    total, results = backend.scan(body, zeros, tensor(rows), names, reverse=True)
    check(total, rows.sum(0))
    check(results["total"], rows[::-1].cumsum(0)[::-1])
    check(results["index"], np.arange(4.0))


def test_scan_needs_no_carry_and_no_results():
    rows = tensor(normal(4, 3))
    carry, results = backend.scan(lambda c, part, _: (c, part), {}, rows, None)
    assert carry == {}
    check(results, to_numpy(rows))
    carry, results = backend.scan(
        lambda c, part, _: ([c[0] + part], {}), [rows[0]], rows, {}
    )
    assert results == {}
    check(carry[0], to_numpy(rows).sum(0) + to_numpy(rows)[0])


def test_columns():
    x, part = normal(2, 3, 7), normal(2, 3, 4, seed=1)
    check(backend.columns(tensor(x), 2, 4), x[..., 2:6])
    want = x.copy()
    want[..., 2:6] += part
    check(backend.add_columns(tensor(x), tensor(part), 2), want)


def test_columns_from_a_number_that_a_loop_counts():
    if backend.NAME == "torch":
        pytest.skip("its loops count with integers")
    x = normal(2, 7)
    check(backend.columns(tensor(x), tensor(2, "int32"), 4), x[:, 2:6])
    want = x.copy()
    want[:, 3:5] += 1.0
    first = tensor(3, "int32")
    check(backend.add_columns(tensor(x), tensor(np.ones((2, 2))), first), want)


def test_entries_may_be_added_twice():
    total, part = normal(2, 5, 3), normal(2, 4, 3, seed=1)
    places = np.array([4, 1, 4, 0], "int32")
    want = total.copy()
    np.add.at(want, (slice(None), places), part)
    got = backend.add_entries(tensor(total), tensor(part), tensor(places, "int32"))
    check(got, want)


@dataclass(frozen=True)
class Scaled:
    """`factor` times a table's entries, with three times the true gradient."""

    factor: float

    def forward(self, tensors):
        """Return two outputs, one of which needs no gradient."""
        found = ops.take(tensors["in"]["table"], tensors["index"], axis=0)
        return {"scaled": found * self.factor, "count": ops.ones_like(found[:, 0])}

    def backward(self, tensors, outputs, gradients, needed):
        """Return the gradient that only a backward pass by hand can have."""
        assert set(outputs) == set(gradients) == {"scaled", "count"}
        assert needed["in"]["table"]
        table = tensors["in"]["table"]
        columns = ops.one_hot(tensors["index"], table.shape[0], dtype="float32")
        found = ops.matmul(ops.transpose(columns), gradients["scaled"])
        return {"in": {"table": 3.0 * self.factor * found}}


def test_differentiable_takes_the_gradient_of_the_backward_pass():
    table, index = normal(4, 3), np.array([2, 0, 2], "int32")

    def outputs(table):
        tensors = {"index": tensor(index, "int32"), "in": {"table": table}}
        return backend.differentiable(Scaled(2.0), tensors)

    found = outputs(tensor(table))
    assert set(found) == {"scaled", "count"}
    check(found["count"], np.ones(3))
    output, gradient = outputs_and_gradients(lambda x: outputs(x)["scaled"], table)
    assert_close(output, 2 * table[index], "output", 1e-6)
    want = np.zeros((4, 3))
    np.add.at(want, index, 6.0)
    assert_close(gradient, want, "gradient", 1e-6)


def test_pullback():
    x, y = normal(2, 3), normal(3, 4, seed=1)
    tensors = {"x": tensor(x), "rest": [tensor(y)]}
    output, pull = backend.pullback(
        lambda t: {"product": ops.matmul(t["x"], t["rest"][0]), "twice": 2.0 * t["x"]},
        tensors,
        {"x": True, "rest": [True]},
    )
    check(output["product"], x @ y, 1e-5)
    gradient = normal(2, 4, seed=2)
    found = pull({"product": tensor(gradient), "twice": tensor(x)})
    check(found["x"], gradient @ y.T + 2 * x, 1e-5)
    check(found["rest"][0], x.T @ gradient, 1e-5)


def test_pullback_of_one_tensor():
    x = normal(2, 3)
    output, pull = backend.pullback(
        lambda t: ops.square(t["x"]), {"x": tensor(x)}, {"x": True}
    )
    check(output, x**2)
    check(pull(tensor(x))["x"], 2 * x * x)


@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 1), (1, 3), (3, 3)])
def test_matmul_of_stacks(left, right):
    x, y = normal(left, 2, 5), normal(right, 5, 4, seed=1)
    check(backend.matmul(tensor(x), tensor(y)), x @ y, 1e-5)


def test_keys_for_queries():
    x, y = normal(2, 4, 5), normal(2, 3, 4, 5, seed=1)
    _, in_x = outputs_and_gradients(
        lambda x: tensor(y) * backend.for_queries(x, 3) ** 2, x
    )
    assert_close(in_x, 2.0 * x * y.sum(1), "gradient to x", 1e-5)
    check(tensor(y) + backend.for_queries(tensor(x), 3), y + x[:, None], 1e-5)


@pytest.mark.parametrize("axes", [-1, (0, 2)])
def test_softmax_is_finite_where_nothing_is_seen(axes):
    logits = normal(2, 3, 4, scale=30.0)
    logits[:, 1] = -np.inf
    logits[0, 2, 1:] = -np.inf
    weights, total, log_total = map(to_numpy, backend.softmax(tensor(logits), axes))
    seen = np.exp(logits.astype("float64")).sum(axes, keepdims=True)
    some = seen > 0
    assert np.isfinite(weights).all()
    assert np.isfinite(log_total).all()
    assert (total > 0).all()
    shares = np.exp(logits.astype("float64")) / np.where(some, seen, 1.0)
    assert_close(weights / total, shares, "weights", 1e-5)
    assert_close(log_total[some], np.log(seen[some]), "log_total", 1e-5)


def test_arithmetic():
    x, y, floor = normal(2, 3), normal(2, 1, seed=1), np.full((2, 3), 0.5, "float32")
    check(backend.exp_difference(tensor(x), tensor(y)), np.exp(x - y), 1e-5)
    got = backend.softmax_gradient(tensor(x), tensor(x + 1), tensor(y))
    check(got, x * (x + 1 - y), 1e-5)
    got = backend.floored_inverse(tensor(x), tensor(floor))
    check(got, 1 / np.maximum(x, 0.5), 1e-5)


def test_gradients_of_arithmetic():
    x, y = normal(2, 3), normal(2, 1, seed=1)
    _, in_x, in_y = outputs_and_gradients(backend.exp_difference, x, y)
    assert_close(in_x, np.exp(x - y), "gradient to x", 1e-5)
    assert_close(in_y, -np.exp(x - y).sum(1, keepdims=True), "gradient to y", 1e-5)
    x = abs(x) + 1.0
    floor = tensor(np.full((2, 3), 0.5))
    _, in_x = outputs_and_gradients(lambda x: backend.floored_inverse(x, floor), x)
    assert_close(in_x, -1 / x**2, "gradient to x", 1e-5)


def test_future_bias():
    last, keys = np.array([-1, 1, 4], "int32"), np.array([[0, 1, 2, 3], [2, 3, 4, 5]])
    got = backend.future_bias(tensor(last, "int32"), tensor(keys, "int32"))
    hidden = keys[:, None, :] > last[:, None]
    np.testing.assert_array_equal(to_numpy(got), np.where(hidden, -np.inf, 0.0))


def test_kept_is_a_hash_of_both_sides():
    rng = np.random.default_rng(0)
    bits = np.iinfo("int32")
    left, right = (
        rng.integers(bits.min, bits.max, shape, "int32") for shape in ((2, 50), (1, 60))
    )
    threshold = int(0.7 * 2**31)
    x = (left[:, :, None] ^ right[:, None, :]) * np.int32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.int32(0x846CA68B - 2**32)
    want = (x & 0x7FFFFFFF) < threshold
    assert abs(want.mean() - 0.7) < 0.02
    kept = backend.kept(tensor(left, "int32"), tensor(right, "int32"), threshold)
    weights = normal(2, 50, 60)
    for keep in (backend.keep, backend.keep_only):
        check(keep(tensor(weights), kept), np.where(want, weights, 0.0))


def test_dropped_weights_have_no_gradient():
    left, right = np.arange(6, dtype="int32").reshape(2, 3), np.arange(4)[None]
    kept = backend.kept(tensor(left, "int32"), tensor(right, "int32"), 2**30)
    weights = normal(2, 3, 4)
    output, gradient = outputs_and_gradients(lambda x: backend.keep(x, kept), weights)
    assert_close(gradient, (output != 0).astype("float32"), "gradient", 1e-6)


@pytest.mark.parametrize("scaled", [True, False])
def test_layer_normalization(scaled):
    x, gamma, beta = normal(2, 3, 5), normal(5, seed=1), normal(5, seed=2)
    centred = x - x.mean(-1, keepdims=True)
    want = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
    given = (tensor(gamma), tensor(beta)) if scaled else (None, None)
    got = backend.layer_normalization(tensor(x), *given, 1e-3)
    check(got, want * gamma + beta if scaled else want, 1e-5)


def test_turned():
    pairs, angle = normal(2, 3, 4, 2), normal(2, 1, 4, seed=1)
    x, y = pairs[..., 0], pairs[..., 1]
    want = [
        x * np.cos(angle) - y * np.sin(angle),
        x * np.sin(angle) + y * np.cos(angle),
    ]
    got = backend.turned(tensor(pairs), tensor(np.cos(angle)), tensor(np.sin(angle)))
    check(got, np.stack(want, -1), 1e-5)


@pytest.mark.skipif(backend.NAME != "torch", reason="others have no places in memory")
def test_gradient_of_turned_from_an_odd_place_in_memory():
    import torch

    numbers = torch.ones((2, 3, 2), requires_grad=True)
    turned = backend.turned(numbers, torch.zeros(2, 3), torch.ones(2, 3))
    cotangent = torch.arange(13.0)[1:].reshape(2, 3, 2)
    (found,) = torch.autograd.grad(turned, numbers, cotangent)
    expected = torch.stack([cotangent[..., 1], -cotangent[..., 0]], dim=-1)
    assert torch.equal(found, expected)


def test_turned_from_an_odd_place_in_memory():
    numbers = tensor(normal(1, 1, 1, 3))
    zero, one = (tensor(np.full((1, 1, 1), x)) for x in (0.0, 1.0))
    got = backend.turned(numbers[..., 1:], zero, one)
    check(got, to_numpy(numbers)[..., [2, 1]] * [-1.0, 1.0])


def test_compiled():
    double = backend.compiled(lambda nest: {"y": nest["x"] * 2.0})
    x = normal(2, 3)
    check(double({"x": tensor(x)})["y"], 2 * x)


def test_known_numbers_and_arrays():
    if backend.on_gpu(ops.zeros(1)):
        pytest.skip("to look would stop the GPU")
    assert backend.known(tensor(3, "int32")) == backend.known(3) == 3
    x = normal(2, 3)
    np.testing.assert_array_equal(backend.array(tensor(x)), x)
    np.testing.assert_array_equal(backend.array(x), x)


def test_nothing_is_known_while_a_graph_is_made():
    seen = []

    def look(x):
        seen.append((backend.known(x[0]), backend.array(x)))
        return x

    if backend.NAME == "torch":
        pytest.skip("PyTorch runs eagerly")
    backend.compiled(look)(tensor([1, 2], "int32"))
    assert seen == [(None, None)]


@pytest.mark.parametrize("condition", [True, False])
def test_apply_if(condition):
    x = normal(2, 3)
    got = backend.apply_if(tensor(condition, "bool"), lambda y: y + 1.0, tensor(x))
    check(got, x + 1 if condition else x)


def test_inverse_of_permutations():
    places = np.array([[2, 0, 1, 3], [3, 2, 1, 0]], "int32")
    got = backend.inverse(tensor(places, "int32"))
    assert keras.backend.standardize_dtype(got.dtype) == "int32"
    np.testing.assert_array_equal(to_numpy(got), np.argsort(places, axis=1))


def test_needs_gradient():
    constant = backend.needs_gradient(tensor(1.0))
    assert constant == (backend.NAME != "torch")
    if backend.NAME == "torch":
        assert backend.needs_gradient(tensor(1.0).requires_grad_())


@pytest.mark.parametrize("causal", [False, True])
def test_fused_attention(causal):
    gpu = backend.on_gpu(ops.zeros(1))
    if not backend.fuses(gpu, "float32", 4, False):
        pytest.skip("no kernel for this call")
    query, key, value = (normal(2, 5, 2, 4, seed=seed) for seed in range(3))
    tensors = (tensor(x) for x in (query, key, value))
    got = backend.fused_attention(*tensors, None, causal, 0.5)
    logits = np.einsum("bthd,bshd->bhts", query, key) * 0.5
    if causal:
        logits = np.where(np.tri(5, dtype=bool), logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    check(got, np.einsum("bhts,bshd->bthd", weights, value), 1e-4)


def test_kernels_that_no_call_may_take_are_for_gpus():
    assert not backend.flexes(False, "float32", 4, 4)
    if backend.NAME != "torch":
        assert not backend.fuses(False, "float32", 4, False)
        with pytest.raises(NotImplementedError, match="FlexAttention"):
            backend.flex_attention(None, None, None, {}, None, 2, False, False)


def test_random_states_can_be_restored():
    states = backend.random_states()
    if not states:
        backend.set_random_states(states)
        return
    import torch

    first = torch.rand(3)
    backend.set_random_states(states)
    assert torch.equal(torch.rand(3), first)


def test_device():
    assert backend.device_name()
    if backend.device_name() == "CPU":
        assert backend.device_peak_memory() is None
