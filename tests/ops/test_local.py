"""Local attention: what a query sees, and which way is taken."""

from unittest import mock

import numpy as np
import pytest
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops import local_attention
from keras_twa.ops.softmax import local
from keras_twa.ops.softmax.local import route
from keras_twa.testing import harness
from keras_twa.testing import scenarios
from keras_twa.testing.scenarios import normal


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [(7, 5), (5, 7), (7, 7)])
@pytest.mark.parametrize("way", scenarios.ROUTES)
def test_more_or_fewer_keys(lengths, causal, way):
    """The last query stands beside the last key; one that sees none has no weight."""
    (queries, keys), window = lengths, 2
    q, k = normal(1, queries, 1, 4, seed=1), normal(1, keys, 1, 4, seed=2)
    v = normal(1, keys, 1, 3, seed=3)
    places = np.arange(queries)[:, None] + keys - queries - np.arange(keys)
    seen = (np.abs(places) < window) & (not causal or places >= 0)
    logits = np.where(seen, q[0, :, 0] @ k[0, :, 0].T / 2, -np.inf)
    weights = np.where(seen, np.exp(logits), 0.0)
    want = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-9) @ v[0, :, 0]

    def attend(q, k, v):
        return local_attention(q, k, v, window, AttentionMask(causal))

    with scenarios.route(way):
        output, *gradients = outputs_and_gradients(attend, q, k, v)
    harness.assert_close(output[0, :, 0], want, "output", 1e-5)
    for name, gradient in zip("qkv", gradients, strict=True):
        harness.assert_finite(gradient, f"gradient to {name}")
    unseen = ~seen.any(axis=0)
    assert not gradients[2][0, unseen].any()


@pytest.mark.parametrize("causal", [False, True])
def test_both_ways_give_the_same_with_global_tokens(causal):
    """Padding in front and holes move the global tokens, the same on both ways."""
    length, holes = 300, np.random.default_rng(1).random((2, 300)) < 0.8
    holes[0, :70] = False
    inputs = [normal(2, length, 2, width, seed=width) for width in (4, 4, 3)]

    def attend(q, k, v):
        mask = AttentionMask(causal, keys=ops.convert_to_tensor(holes))
        return local_attention(q, k, v, 20, mask, num_global_tokens=5)

    assert route(length, length, 20, AttentionMask(causal)) == "windowed"
    got = outputs_and_gradients(attend, *inputs)
    with mock.patch.object(local, "route", return_value="tiled"):
        want = outputs_and_gradients(attend, *inputs)
    for name, x, y in zip(("output", *"qkv"), got, want, strict=True):
        harness.assert_close(x, y, name, 1e-5)


def outputs_and_gradients(function, *arrays):
    """Return the output and the gradients of its sum, as NumPy arrays."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        output, pull = jax.vjp(function, *arrays)
        found = [output, *pull(ops.ones_like(output))]
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(x) for x in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output = function(*tensors)
        found = [output, *tape.gradient(output, tensors)]
    else:
        import torch

        tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
        output = function(*tensors)
        found = [output, *torch.autograd.grad(output.sum(), tensors)]
    return [harness.to_numpy(x) for x in found]


def test_route():
    plain, causal = AttentionMask(), AttentionMask(causal=True)
    pairs = AttentionMask(pairs=ops.ones((1, 1, 2000, 2000), dtype="bool"))
    assert route(2000, 2000, 100, plain) == "windowed"
    assert route(2000, 2000, 100, causal) == "windowed"
    assert route(2000, 2000, 900, plain) == "tiled"
    assert route(2000, 2001, 100, plain) == "tiled"
    assert route(None, None, 100, plain) == "tiled"
    assert route(2000, 2000, 100, pairs) == "tiled"
    assert route(2000, 2000, 100, plain, dropout=object()) == "tiled"
    assert route(2000, 2000, 100, plain, return_weights=True) == "tiled"
