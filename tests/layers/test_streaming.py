"""Compiled steps on each backend compile once and never exceed the cache."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.layers.registry import name_of
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal

BACKEND = keras.backend.backend()
LENGTH, ROOM, WIDTH = 5, 6, 6
NAMES = [name_of(x) for x in layers.ATTENTION_LAYERS if x.prefix_invariant]
# PyTorch takes seconds to compile each.
COMPILED = NAMES if BACKEND != "torch" else ["dot_product", "linear"]
COMPILED = [*((name, {}) for name in COMPILED), ("rwkv", {"version": 7})]


def compiled_step(layer):
    """Return a compiled `layer.step`, and a list with an entry for each trace."""
    traces = []

    def step(token, state):
        traces.append(1)
        return layer.step(token, state)

    if BACKEND == "jax":
        import jax

        return jax.jit(step), traces
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(step, jit_compile=True), traces
    import torch

    torch._dynamo.reset()

    def count(graph, inputs):
        traces.append(1)
        return graph.forward

    # Otherwise, the state would require a gradient from the second step on, and PyTorch
    # would compile again.
    return torch.no_grad()(torch.compile(layer.step, backend=count)), traces


@pytest.mark.parametrize("name, options", COMPILED)
def test_steps_compile_once(name, options):
    layer = layers.get(name, num_heads=2, key_dim=4, **options)
    x = ops.convert_to_tensor(normal(2, LENGTH, WIDTH))
    whole = harness.to_numpy(layer(x, x, use_causal_mask=True))
    step, traces = compiled_step(layer)
    state = layer.initial_state(2, max_length=ROOM)
    counts = []
    for i in range(LENGTH):
        output, state = step(x[:, i], state)
        output = harness.to_numpy(output)
        harness.assert_close(output, whole[:, i], f"output of step {i}")
        counts.append(len(traces))
    assert counts == counts[:1] * LENGTH
    if BACKEND != "torch":
        assert counts[0] == 1


def test_a_full_cache_never_gives_numbers():
    """If the count is unknown, it gives NaN; PyTorch does not write past the end."""
    layer = layers.get("dot_product", num_heads=2, key_dim=4)
    x = ops.convert_to_tensor(normal(2, 3, WIDTH))
    layer(x)
    step, _ = compiled_step(layer)
    state = layer.initial_state(2, max_length=2)
    for i in range(2):
        output, state = step(x[:, i], state)
        harness.assert_finite(harness.to_numpy(output), f"output of step {i}")
    if BACKEND == "torch":
        with pytest.raises(IndexError):
            step(x[:, 2], state)
        return
    output, _ = step(x[:, 2], state)
    assert np.isnan(harness.to_numpy(output)).all()


def test_states_of_recurrent_layers_do_not_grow():
    x = normal(2, LENGTH, WIDTH)
    names = ("linear", "performer", "retention", "multi_timescale_retention", "rwkv")
    names += ("gated_delta", "block_recurrent", "gated_linear", "mamba2")
    for name in names:
        layer = layers.get(name, num_heads=2, key_dim=4)
        options = {"use_causal_mask": True, "return_state": True}
        _, state = layer(x, **options)
        first = layer.initial_state(2)
        shapes = {key: tuple(x.shape) for key, x in state.items()}
        assert {key: tuple(x.shape) for key, x in first.items()} == shapes
