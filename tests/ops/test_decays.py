"""Memories whose decays depend on the step, over many chunks, at their hardest."""

import numpy as np
import pytest
from keras import ops

from keras_twa.masks import AttentionMask
from keras_twa.ops import gated_linear
from keras_twa.ops import state_space
from keras_twa.ops.recurrent import gated_linear as gated_linear_module
from keras_twa.ops.recurrent import subchunks
from keras_twa.testing import harness

LENGTH, HEADS, WIDTH = 150, 4, 8


def one_step_at_a_time(query, key, value, log_decay):
    """Return what the recurrence gives, in float64, and the last memory."""
    query, key = (np.repeat(x, HEADS // x.shape[2], axis=2) for x in (query, key))
    memory, outputs = np.zeros((1, HEADS, WIDTH, WIDTH)), []
    for t in range(LENGTH):
        new = key[:, t, :, :, None] * value[:, t, :, None]
        memory = np.exp(log_decay[:, t])[..., None] * memory + new
        outputs.append((query[:, t, :, None] @ memory)[:, :, 0])
    return np.stack(outputs, axis=1), memory


KERNELS = {
    "channels": (gated_linear, HEADS, WIDTH),
    "heads": (state_space, HEADS, 1),
    "groups": (state_space, 2, 1),
}
each_kernel = pytest.mark.parametrize("name", KERNELS)


def inputs(name, seed=0):
    """Return queries, keys, values, and noise of the shape of decays."""
    rng = np.random.default_rng(seed)
    _, groups, channels = KERNELS[name]
    query, key = rng.normal(size=(2, 1, LENGTH, groups, WIDTH))
    value = rng.normal(size=(1, LENGTH, HEADS, WIDTH))
    return query, key, value, rng.normal(size=(1, LENGTH, HEADS, channels))


def check(name, given, tolerance=2e-5):
    """Check a kernel against the recurrence."""
    tensors = [ops.convert_to_tensor(x, "float32") for x in given]
    output, memory = KERNELS[name][0](*tensors[:3], AttentionMask(), tensors[3])
    want, last = one_step_at_a_time(*given)
    harness.assert_close(harness.to_numpy(output), want, "output", tolerance)
    harness.assert_close(harness.to_numpy(memory), last, "memory", tolerance)


@each_kernel
@pytest.mark.parametrize("fading", [0.0, 0.01, 1.0, 1000.0])
def test_chunks_equal_steps_however_fast_it_fades(name, fading):
    *given, noise = inputs(name)
    # From step to step, from almost nothing to almost all.
    check(name, (*given, -fading * np.exp(3.0 * noise)))


@each_kernel
def test_what_faded_before_costs_no_digits(name):
    *given, noise = inputs(name, seed=1)
    # In each chunk some steps fade by e^-49, and then come some that hardly fade.
    log_decay = np.where(np.arange(LENGTH) % 30 < 20, -49.0, -0.01)
    check(name, (*given, log_decay[None, :, None, None] * abs(noise)), 5e-6)


@each_kernel
def test_a_step_may_forget_everything(name):
    *given, noise = inputs(name, seed=2)
    log_decay = np.where(np.arange(LENGTH) % 7 == 0, -1e30, -0.01)
    check(name, (*given, log_decay[None, :, None, None] + np.zeros_like(noise)))


@each_kernel
@pytest.mark.parametrize("at_once", [1, 200, 2000])
def test_chunks_of_any_number_of_subchunks_agree(name, at_once, monkeypatch):
    monkeypatch.setattr(gated_linear_module, "SUBCHUNK", 8)
    monkeypatch.setattr(gated_linear_module, "STEPS_AT_ONCE", at_once)
    monkeypatch.setattr(subchunks, "SUBCHUNK", 7)
    monkeypatch.setattr(subchunks, "SCORES_AT_ONCE", 8 * at_once)
    *given, noise = inputs(name, seed=3)
    check(name, (*given, -np.exp(noise)))


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 1000, None])
@pytest.mark.parametrize("rows", [1, 8, 10**6, None])
def test_chunks_cover_the_sequence_in_few_steps_at_once(length, rows):
    size, count = gated_linear_module.size_and_count(length, rows)
    assert size & (size - 1) == 0
    if length is None:
        return
    chunks = -(-length // (size * count))
    assert chunks * size * count < 2 * length or length == 1
    if rows is not None:
        steps = size * max(rows, 1)
        assert count == 1 or count * steps <= gated_linear_module.STEPS_AT_ONCE
