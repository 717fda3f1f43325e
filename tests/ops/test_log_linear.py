"""Features of any size, over many blocks and chunks, against float64 loops."""

import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.masks import AttentionMask
from keras_twa.ops import linear_attention
from keras_twa.ops import log_linear_attention
from keras_twa.ops import performer_attention
from keras_twa.ops.recurrent.performer import orthogonal_features
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask

LENGTH, HEADS, WIDTH = 150, 2, 5


def loop(query, key, value, real, causal):
    """The float64 mean of the values, by the logarithms of features."""
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    outputs = np.zeros((*query.shape[:3], value.shape[-1]))
    for b, i, h in np.ndindex(query.shape[:3]):
        last = i + key.shape[1] - query.shape[1] + 1 if causal else None
        seen = np.arange(key.shape[1])[real[b]]
        seen = seen[: np.searchsorted(seen, last)] if causal else seen
        if not len(seen):
            continue
        logs = query[b, i, h] + key[b, seen, h]
        weights = np.exp(logs - logs.max()).sum(axis=-1)
        outputs[b, i, h] = weights @ value[b, seen, h] / weights.sum()
    return outputs


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("num_queries", [LENGTH, 70])
def test_logs_of_any_size(scale, causal, num_queries):
    query = normal(2, num_queries, HEADS, WIDTH, seed=0, scale=scale)
    key = normal(2, LENGTH, HEADS, WIDTH, seed=1, scale=scale)
    # The last keys are the largest, and must not make the first ones vanish.
    key = key + scale * np.linspace(0, 3, LENGTH, dtype="float32")[:, None, None]
    value = normal(2, LENGTH, HEADS, 3, seed=2)
    real = random_mask(2, LENGTH)
    real[0, :20] = False
    mask = AttentionMask(causal=causal, keys=ops.convert_to_tensor(real))
    given = (ops.convert_to_tensor(x) for x in (query, key, value))
    output, _ = log_linear_attention(*given, mask)
    want = loop(query, key, value, real, causal)
    harness.assert_close(harness.to_numpy(output), want, "output", 2e-6 * scale + 1e-5)


@pytest.mark.parametrize("exponent", [-35, -20, 0, 15, 30])
def test_features_of_any_size(exponent):
    query, key = (np.abs(normal(1, 40, HEADS, WIDTH, seed=i)) for i in (3, 4))
    query, key = (x * np.float32(10.0**exponent) for x in (query, key))
    value = normal(1, 40, HEADS, 3, seed=5)
    real = np.ones((1, 40), bool)
    for causal in (True, False):
        given = (ops.convert_to_tensor(x) for x in (query, key, value))
        output, state = linear_attention(*given, AttentionMask(causal=causal))
        want = loop(np.log(query), np.log(key), value, real, causal)
        harness.assert_close(harness.to_numpy(output), want, "output", 3e-5)
    assert state is None


def test_gradients_at_any_size():
    # What is added to all logarithms changes nothing, and no gradient either.
    query, key = (normal(1, 40, HEADS, WIDTH, seed=i) for i in (6, 7))
    value, cotangent = (normal(1, 40, HEADS, 3, seed=i) for i in (8, 9))

    class Attends(layers.LinearAttention):
        def call(self, query, value, key):
            return log_linear_attention(query, key, value, AttentionMask(causal=True))[
                0
            ]

    layer = Attends(HEADS, WIDTH)
    layer.built = True
    found = []
    for shift in (0.0, -300.0):
        call = {"query": query + shift, "value": value, "key": key + shift}
        found.append(harness.run_with_gradients(layer, call, cotangent).inputs)
    for name, gradient in found[0].items():
        harness.assert_close(found[1][name], gradient, f"gradient to {name}", 2e-4)


@pytest.mark.parametrize("factor", [1.0, 10.0, 20.0, 100.0])
@pytest.mark.parametrize("causal", [True, False])
def test_random_features_of_large_vectors(factor, causal):
    dim = 64
    query, key = (normal(1, 128, 1, dim, seed=i, scale=factor) for i in (10, 11))
    value = normal(1, 128, 1, 3, seed=12)
    directions = orthogonal_features(dim, 100, np.random.default_rng(0))
    given = (ops.convert_to_tensor(x) for x in (query, key, value, directions))
    output, *_ = performer_attention(*given, AttentionMask(causal=causal))
    output = harness.to_numpy(output)
    query, key = (x.astype("float64") * dim**-0.25 for x in (query, key))
    half_square = 0.5 * (key**2).sum(axis=-1, keepdims=True)
    logs = query @ directions, key @ directions - half_square
    want = loop(*logs, value, np.ones((1, 128), bool), causal)
    assert (np.abs(output) > 0).all()
    # Half squares of 100,000 have steps of 0.01 in float32.
    tolerance = {1.0: 2e-5, 10.0: 1e-3, 20.0: 5e-3, 100.0: 0.2}[factor]
    harness.assert_close(output, want, "output", tolerance)
