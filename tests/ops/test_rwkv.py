"""The recurrences of RWKV at the lengths of real chunks, and at extreme numbers."""

import math
from unittest import mock

import numpy as np
import pytest
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops import generalized_delta_rule
from keras_twa.ops import previous_real
from keras_twa.ops import wkv
from keras_twa.ops.recurrent import wkv as wkv_module
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask


def wkv_loop(key, value, decay, bonus, real):
    """Return the weighted means, step by step, in logarithms."""
    outputs = np.zeros(key.shape)
    for b in range(key.shape[0]):
        sums = np.zeros((2, *key.shape[2:]))
        level = np.full(key.shape[2:], -np.inf)
        for i in range(key.shape[1]):
            pair = np.stack([value[b, i], np.ones_like(value[b, i])])
            now = bonus + key[b, i] if real[b, i] else np.full(level.shape, -np.inf)
            top = np.maximum(np.maximum(level, now), -1e30)
            above, below = sums * np.exp(level - top) + pair * np.exp(now - top)
            outputs[b, i] = np.divide(above, below, where=below > 0, out=above)
            if real[b, i]:
                top = np.maximum(level - decay, key[b, i])
                sums = sums * np.exp(level - decay - top)
                sums = sums + pair * np.exp(key[b, i] - top)
                level = top
    return outputs


@pytest.mark.parametrize("length", [511, 512, 1100])
def test_wkv_equals_the_recurrence_at_length(length):
    key, value = normal(2, length, 1, 3, seed=1, scale=3.0), normal(2, length, 1, 3)
    decay, bonus = np.array([[0.001, 0.3, 20.0]]), normal(1, 3, seed=2)
    real = random_mask(2, length)
    want = wkv_loop(*(x.astype("float64") for x in (key, value, decay, bonus)), real)
    tensors = [ops.convert_to_tensor(x, "float32") for x in (key, value, decay, bonus)]
    mask = AttentionMask(keys=ops.convert_to_tensor(real))
    got, _, _ = wkv(*tensors, mask)
    harness.assert_close(ops.convert_to_numpy(got), want, "output", 1e-4)


def test_wkv_holds_at_any_keys():
    """Keys that jump up or down by more than float32 has exponents for."""
    key = np.zeros((1, 12, 1, 2))
    key[0, :, 0, 0] = [-500, -499, 800, 3, 799, -900, 0, 0, 801, -2, 600, 600]
    key[0, :, 0, 1] = [1e4, 0, 0, -1e4, -1e4, 9e3, 9e3, 0, 1, 2, 3, 0]
    value, real = normal(1, 12, 1, 2), np.ones((1, 12), bool)
    decay, bonus = np.array([[0.5, 900.0]]), np.array([[1.0, -2.0]])
    want = wkv_loop(key, value, decay, bonus, real)
    tensors = [ops.convert_to_tensor(x, "float32") for x in (key, value, decay, bonus)]
    got, _, _ = wkv(*tensors, AttentionMask())
    harness.assert_close(ops.convert_to_numpy(got), want, "output", 1e-4)


def delta_loop(query, key, value, log_decay, removal, rate):
    """Return the answers of the memory, step by step."""
    outputs = np.zeros(value.shape)
    for b, h in np.ndindex(value.shape[0], value.shape[2]):
        memory = np.zeros((key.shape[-1], value.shape[-1]))
        for i in range(key.shape[1]):
            found = removal[b, i, h] @ memory
            memory = memory * np.exp(log_decay[b, i, h])[:, None]
            memory -= np.outer(rate[b, i, h] * removal[b, i, h], found)
            memory += np.outer(key[b, i, h], value[b, i, h])
            outputs[b, i, h] = query[b, i, h] @ memory
    return outputs


@pytest.mark.parametrize("fade", [0.0, 0.1, math.exp(-0.5)])
@pytest.mark.parametrize("same", [False, True], ids=["any keys", "one key"])
def test_delta_rule_equals_the_recurrence(fade, same):
    """Also where each step removes all that the one before it wrote."""
    shape = (1, 150, 1, 4)
    query, key, value = (normal(*shape, seed=seed) for seed in range(3))
    if same:
        key = np.broadcast_to(key[:, :1], shape)
    removal = key / np.linalg.norm(key, axis=-1, keepdims=True)
    log_decay, rate = np.full(shape, -fade), np.ones(shape)
    given = [query, key, value, log_decay, removal, rate]
    want = delta_loop(*(np.asarray(x, "float64") for x in given))
    tensors = [ops.convert_to_tensor(x, "float32") for x in given]
    got, _ = generalized_delta_rule(*tensors, AttentionMask())
    harness.assert_close(ops.convert_to_numpy(got), want, "output", 1e-4)


def test_chunks_of_any_length_give_the_same():
    tensors = [ops.convert_to_tensor(normal(2, 23, 2, 3, seed=i)) for i in range(2)]
    rates = [ops.ones((2, 3)) * 0.2, ops.ones((2, 3))]
    want, sums, maximum = wkv(*tensors, *rates, AttentionMask())
    for chunk in (1, 2, 5, 22, 23, 24):
        with mock.patch.object(wkv_module, "CHUNK", chunk):
            got, *state = wkv(*tensors, *rates, AttentionMask())
        for x, y in zip([got, *state], [want, sums, maximum], strict=True):
            x, y = ops.convert_to_numpy(x), ops.convert_to_numpy(y)
            harness.assert_close(x, y, f"chunks of {chunk}", 1e-5)


def test_the_last_real_step_is_found():
    x = np.arange(1, 8, dtype="float32").reshape(1, 7, 1)
    real = np.array([[0, 1, 0, 0, 1, 1, 0]], bool)
    before = np.array([[9]], "float32")
    previous, last = previous_real(
        *(ops.convert_to_tensor(given) for given in (x, real, before))
    )
    assert ops.convert_to_numpy(previous)[0, :, 0].tolist() == [9, 9, 2, 2, 2, 5, 6]
    assert ops.convert_to_numpy(last).tolist() == [[6]]
    previous, last = previous_real(ops.convert_to_tensor(x))
    assert ops.convert_to_numpy(previous)[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert ops.convert_to_numpy(last).tolist() == [[7]]
