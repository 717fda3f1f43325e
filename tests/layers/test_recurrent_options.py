"""The options that recurrent mechanisms share: a short convolution."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers

RECURRENT = [layer for layer in layers.ATTENTION_LAYERS if layer.convolves]
X = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")


def test_recurrent_mechanisms_convolve():
    recurrent = [
        layer
        for layer in layers.ATTENTION_LAYERS
        if issubclass(layer, layers.RecurrentAttention)
    ]
    assert recurrent == RECURRENT
    assert len(RECURRENT) == 7


@pytest.mark.parametrize("size", [0, 1, -2, 2.0, True, "4"])
def test_bad_sizes_are_refused(size):
    with pytest.raises(ValueError, match="Received: convolution="):
        layers.LinearAttention(2, 4, convolution=size)


def test_a_mechanism_without_the_option_refuses_it():
    with pytest.raises(ValueError, match="has no option `convolution`"):
        layers.get("local(convolution=4)", num_heads=2, key_dim=4)


@pytest.mark.parametrize("mechanism", RECURRENT)
def test_a_convolution_makes_a_layer_causal(mechanism):
    layer = mechanism(2, 4, convolution=4)
    assert layer.causality == "always"
    assert not layer.cross_attention
    with pytest.raises(ValueError, match="its own sequence only"):
        layer(X, ops.ones((2, 3, 8)))


def test_a_kernel_of_the_last_step_only_is_silu():
    layer = layers.LinearAttention(2, 4, convolution=3)
    plain = layers.LinearAttention(2, 4)
    layer.build(X.shape)
    plain.build(X.shape)
    kernel = np.zeros(layer._convolution.kernel.shape, "float32")
    kernel[-1] = 1.0
    layer._convolution.kernel.assign(kernel)
    x = {name: layer._dense(name)(X) for name in ("query", "key", "value")}
    heads, last = layer._convolution(x)
    for name, given in x.items():
        expected = ops.convert_to_numpy(ops.silu(given))
        np.testing.assert_allclose(
            ops.convert_to_numpy(heads[name]), expected, atol=1e-6, err_msg=name
        )
    joint = ops.concatenate([*x.values()], axis=-1)[:, -2:]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(last), ops.convert_to_numpy(joint)
    )


def test_blocks_take_it_by_name():
    block = layers.TransformerEncoder(16, 2, attention="gated_delta(convolution=2)")
    whole = ops.convert_to_numpy(block(X))
    config = keras.saving.serialize_keras_object(block)
    loaded = keras.saving.deserialize_keras_object(config)
    assert loaded.get_config()["attention"] == "gated_delta(convolution=2)"
    state, found = block.initial_state(2), []
    for i in range(X.shape[1]):
        token, state = block.step(X[:, i], state)
        found.append(ops.convert_to_numpy(token))
    np.testing.assert_allclose(np.stack(found, axis=1), whole, atol=1e-5)
