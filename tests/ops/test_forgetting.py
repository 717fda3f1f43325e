"""Forget gates keep their digits, however much they add up to."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa.layers import ForgettingAttention
from keras_twa.masks import AttentionMask
from keras_twa.ops import backend
from keras_twa.ops import forgetting_attention
from keras_twa.ops.softmax.running_sum import running_sum
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal

LONG = 30_000
HEADS, DIM = 2, 4


def log_sigmoid(x):
    return -np.logaddexp(0.0, -np.asarray(x, "float64"))


def loop(query, key, value, log_gates, last):
    """The float64 output of a query that sees the keys up to `last`."""
    query, key, value, log_gates = (
        np.asarray(x, "float64") for x in (query, key, value, log_gates)
    )
    outputs = []
    for head in range(HEADS):
        level = np.cumsum(log_gates[: last + 1, head])
        logits = key[: last + 1, head] @ query[head] / np.sqrt(DIM)
        logits = logits + level[-1] - level
        weights = np.exp(logits - logits.max())
        outputs.append(weights @ value[: last + 1, head] / weights.sum())
    return np.stack(outputs)


def tensors(length, bias, seed=0):
    q, k, v = (normal(1, length, HEADS, DIM, seed=seed + i) for i in range(3))
    gates = log_sigmoid(normal(1, length, HEADS, seed=seed + 3) + bias)
    return q, k, v, gates.astype("float32")


@pytest.mark.parametrize(
    "bias",
    [
        0.0,
        pytest.param(-2.0, marks=pytest.mark.full),
        pytest.param(5.0, marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("compile", [False, True])
def test_far_queries_equal_the_loop(bias, compile):
    q, k, v, gates = tensors(LONG, bias)

    def attend(last):
        return forgetting_attention(last, k, v, gates, AttentionMask(causal=True))

    # The last five queries see all keys but those behind them.
    run = backend.compiled(attend) if compile else attend
    got = harness.to_numpy(run(ops.convert_to_tensor(q[:, -5:])))
    for place, last in enumerate(range(LONG - 5, LONG)):
        want = loop(q[0, last], k[0], v[0], gates[0], last)
        np.testing.assert_allclose(got[0, place], want, atol=3e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "mixed_float16"])
def test_long_sequences_stay_exact_in_every_policy(dtype):
    length = 9_500
    layer = ForgettingAttention(1, 2, dtype=dtype)
    x = normal(1, length, 3, seed=4)
    got = harness.to_numpy(layer(x))
    assert np.isfinite(got).all()
    # As if only the end were there: of the start the gates, about 1/2, leave nothing.
    want = harness.to_numpy(layer(x[:, -300:]))
    near = np.abs(got[:, -100:] - want[:, -100:]).max()
    assert near <= {"float32": 1e-6, "bfloat16": 2e-2}.get(dtype, 2e-3)


@pytest.mark.parametrize("max_length", [None, 25_000])
def test_long_streams_keep_their_digits(max_length):
    # A state as 20,000 steps before leave it, and chunks and steps after them.
    layer = ForgettingAttention(1, 2, kernel_initializer="random_normal")
    x = normal(1, 20_012, 3, seed=5, scale=3.0)
    layer.build(x.shape)
    want = harness.to_numpy(layer(x[:, -300:]))[:, -12:]
    heads = layer.heads_of({"key": x[:, :20_000], "value": x[:, :20_000]})
    state = layer.initial_state(1, max_length=max_length)
    before = {**heads, "real": np.ones((1, 20_000), bool)}
    before["time"] = np.arange(20_000, dtype="float32")[None]
    for name, held in before.items():
        held = ops.cast(held, state[name].dtype)
        room = ops.shape(state[name])[1]
        rest = state[name][:, 20_000:] if room else state[name]
        state[name] = ops.concatenate([held, rest], axis=1)
    if max_length is not None:
        state["length"] = ops.full_like(state["length"], 20_000)
    got, state = layer(x[:, -12:-5], initial_state=state, return_state=True)
    parts = [harness.to_numpy(got)]
    for place in range(20_007, 20_012):
        got, state = layer.step(ops.convert_to_tensor(x[:, place]), state)
        parts.append(harness.to_numpy(got)[:, None])
    np.testing.assert_allclose(np.concatenate(parts, axis=1), want, atol=2e-6)


def test_room_to_spare_costs_no_digits():
    # Far behind the queries there is room in the cache, of which nothing is real.
    length = 4_000
    layer = ForgettingAttention(1, 2)
    x = normal(1, length, 3, seed=6, scale=3.0)
    want = harness.to_numpy(layer(x))[:, -200:]
    state = layer.initial_state(1, max_length=2 * length)
    _, state = layer(x[:, :-200], initial_state=state, return_state=True)
    got, _ = layer(x[:, -200:], initial_state=state, return_state=True)
    np.testing.assert_allclose(harness.to_numpy(got), want, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 3e3])
@pytest.mark.parametrize("compile", [False, True])
def test_differences_of_running_sums_are_exact(scale, compile):
    x = -scale * np.random.default_rng(0).exponential(size=(1, 100_000, 1))
    x = x.astype("float32")
    run = backend.compiled(running_sum) if compile else running_sum
    high, low = (harness.to_numpy(y) for y in run(ops.convert_to_tensor(x)))
    level = np.cumsum(x.astype("float64"), axis=1)
    # What is left of a sum of 3e8 has steps of its own.
    atol = 2e-7 if scale <= 1.0 else 1e-6
    for lag in (1, 50, 3_000):
        high_gap, low_gap = (y[:, lag:] - y[:, :-lag] for y in (high, low))
        want = level[:, lag:] - level[:, :-lag]
        np.testing.assert_allclose(high_gap + low_gap, want, rtol=2e-7, atol=atol)


def test_running_sums_have_the_gradient_of_sums():
    x = -np.exp(normal(1, 40, 2, seed=7))
    weights = normal(1, 40, 2, seed=8)

    class Sums(keras.layers.Layer):
        cross_attention = True

        def call(self, query):
            high, low = running_sum(query)
            return high + low

    layer = Sums()
    layer(x)
    got = harness.run_with_gradients(layer, {"query": x}, weights)
    want = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    harness.assert_close(got.inputs["query"], want, "gradient")
