"""The gated delta rule over many chunks, at its hardest."""

import numpy as np
import pytest
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops import delta_product
from keras_twa.ops import gated_delta
from keras_twa.testing import harness

LENGTH, HEADS, WIDTH = 150, 2, 16


def one_step_at_a_time(query, key, value, log_decay, rate):
    """Return what the recurrence gives, in float64."""
    outputs = np.zeros(value.shape)
    for h in range(HEADS):
        memory = np.zeros((WIDTH, WIDTH))
        for t in range(LENGTH):
            k, b = key[0, t, h], rate[0, t, h]
            kept = np.exp(log_decay[0, t, h]) * (memory - b * np.outer(k, k @ memory))
            memory = kept + b * np.outer(k, value[0, t, h])
            outputs[0, t, h] = query[0, t, h] @ memory
    return outputs


@pytest.mark.parametrize("highest", [1.0, 2.0])
@pytest.mark.parametrize("same_key", [False, True])
@pytest.mark.parametrize("fading", [0.0, 0.01, 1.0, 1000.0])
def test_chunks_equal_steps_however_fast_it_fades(fading, same_key, highest):
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 1, LENGTH, HEADS, WIDTH))
    key = key[:, :1] + np.zeros_like(key) if same_key else key
    key /= np.linalg.norm(key, axis=-1, keepdims=True)
    rate = highest * rng.random((1, LENGTH, HEADS, 1))
    rate[:, ::3] = highest
    # From step to step, from almost nothing to almost all.
    log_decay = -fading * np.exp(rng.normal(size=rate.shape, scale=3.0))
    given = (query, key, value, log_decay, rate)
    query, key, value, *gates = (ops.convert_to_tensor(x, "float32") for x in given)
    output, _ = gated_delta(query, key, value, AttentionMask(), *gates)
    harness.assert_close(harness.to_numpy(output), one_step_at_a_time(*given), "output")


def test_what_faded_before_costs_no_digits():
    rng = np.random.default_rng(1)
    query, key, value = rng.normal(size=(3, 1, LENGTH, HEADS, WIDTH))
    key /= np.linalg.norm(key, axis=-1, keepdims=True)
    rate = rng.random((1, LENGTH, HEADS, 1))
    # In each chunk some steps fade by e^-49, and then come some that hardly fade.
    log_decay = np.where(np.arange(LENGTH) % 30 < 20, -49.0, -0.01)
    log_decay = log_decay[None, :, None, None] * rng.random(rate.shape)
    given = (query, key, value, log_decay, rate)
    query, key, value, *gates = (ops.convert_to_tensor(x, "float32") for x in given)
    output, _ = gated_delta(query, key, value, AttentionMask(), *gates)
    want = one_step_at_a_time(*given)
    harness.assert_close(harness.to_numpy(output), want, "output", 5e-6)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_product_is_one_step_for_each_write(count):
    rng = np.random.default_rng(2)
    length = LENGTH // count
    query = rng.normal(size=(1, length, HEADS, WIDTH))
    key, value = rng.normal(size=(2, 1, length, HEADS, count, WIDTH))
    key /= np.linalg.norm(key, axis=-1, keepdims=True)
    rate = 2.0 * rng.random((1, length, HEADS, count))
    log_decay = -rng.random((1, length, HEADS, 1))
    given = (query, key, value, log_decay, rate)
    tensors = (ops.convert_to_tensor(x, "float32") for x in given)
    query, key, value, *gates = tensors
    output, _ = delta_product(query, key, value, AttentionMask(), *gates)

    query, key, value, log_decay, rate = given
    wanted = np.zeros(query.shape)
    for h in range(HEADS):
        memory = np.zeros((WIDTH, WIDTH))
        for t in range(length):
            memory = np.exp(log_decay[0, t, h]) * memory
            for n in range(count):
                k, b = key[0, t, h, n], rate[0, t, h, n]
                memory = memory + b * np.outer(k, value[0, t, h, n] - k @ memory)
            wanted[0, t, h] = query[0, t, h] @ memory
    harness.assert_close(harness.to_numpy(output), wanted, "output")
