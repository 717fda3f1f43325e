"""The options that recurrent mechanisms share: a convolution, and directions."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa import models
from keras_twa import tasks

RECURRENT = [layer for layer in layers.ATTENTION_LAYERS if layer.convolves]
X = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")


def test_recurrent_mechanisms_convolve():
    recurrent = [
        layer
        for layer in layers.ATTENTION_LAYERS
        if issubclass(layer, layers.RecurrentAttention)
    ]
    assert recurrent == RECURRENT
    assert len(RECURRENT) == 9


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
    joint = [ops.reshape(given, (*given.shape[:2], -1)) for given in x.values()]
    joint = ops.concatenate(joint, axis=-1)[:, -2:]
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


DIRECTED = [layer for layer in layers.ATTENTION_LAYERS if layer.allowed_directions[1:]]


def test_recurrent_and_forgetting_attention_have_directions():
    assert {*DIRECTED} == {*RECURRENT, layers.ForgettingAttention}


def test_half_of_the_heads_is_a_whole_number():
    with pytest.raises(ValueError, match=r"even number of heads.*num_heads=3"):
        layers.RetentionAttention(3, 4, direction="both")


@pytest.mark.parametrize("direction", ["left", None, "both"])
def test_unknown_directions_are_refused(direction):
    with pytest.raises(ValueError, match="Received: direction="):
        layers.BlockRecurrentAttention(2, 4, direction=direction)


@pytest.mark.parametrize("mechanism", DIRECTED)
@pytest.mark.parametrize("direction", ["backward", "both"])
def test_directions_add_no_weights(mechanism, direction):
    if direction not in mechanism.allowed_directions:
        pytest.skip("not in this direction")
    # Each direction of Mamba-2 has groups of its own.
    options = {"num_groups": 2} if mechanism is layers.Mamba2Attention else {}
    forward = mechanism(2, 4, **options)
    other = mechanism(2, 4, direction=direction, **options)
    for layer in (forward, other):
        layer.build(X.shape)
    shapes = [[tuple(v.shape) for v in x.variables] for x in (forward, other)]
    assert shapes[0] == shapes[1]
    assert other.causality == "never"


def test_packed_rows_run_in_both_directions_at_once():
    calls = []

    class Recording(layers.RetentionAttention):
        """Counts its runs."""

        def attend(self, call):
            calls.append(call)
            return super().attend(call)

    layer = Recording(2, 4, direction="both")
    x = np.tile(X, (1, 2, 1))
    # Segments of several lengths, with padding in front, within one, and at the end.
    ids = np.array([[0, 1, 1, 0, 1, 2, 2, 2, 2, 0, 2, 3, 0, 0], [5] * 9 + [4] * 5])
    found = ops.convert_to_numpy(layer(x, segment_ids=ids))
    assert len(calls) == 1
    for row, number in ((0, 1), (0, 2), (0, 3), (1, 5), (1, 4)):
        own = ids[row] == number
        alone = ops.convert_to_numpy(layer(x[row : row + 1, own]))
        np.testing.assert_allclose(found[row, own], alone[0], atol=1e-5)


def test_encoders_take_directions_by_name():
    block = layers.TransformerEncoder(16, 2, attention='rwkv(direction="both")')
    before = ops.convert_to_numpy(block(X))
    changed = X.copy()
    changed[:, -1] += 1.0
    after = ops.convert_to_numpy(block(changed))
    assert np.abs(after - before)[:, 0].max() > 1e-6
    real = np.arange(7) < [[7], [4]]
    padded = block(np.where(real[..., None], X, np.nan), padding_mask=real)
    alone = ops.convert_to_numpy(block(X[1:, :4]))
    padded = ops.convert_to_numpy(padded)
    np.testing.assert_allclose(padded[1:, :4], alone, atol=1e-5)


def test_models_that_must_be_causal_refuse_directions():
    attention = 'gated_delta(direction="backward")'
    tokens = np.ones((1, 4), "int32")
    with pytest.raises(ValueError, match="direction='backward' cannot be causal"):
        models.CausalLM(9, attention, embedding_dim=8, num_heads=2)(tokens)
    with pytest.raises(ValueError, match="direction='backward' cannot be causal"):
        layers.TransformerDecoder(16, 2, attention)(X)
    with pytest.raises(ValueError, match="own sequence only"):
        decoder = layers.TransformerDecoder(
            16, 2, cross_attention='linear(direction="both")'
        )
        decoder(X, X)
    with pytest.raises(ValueError, match=r"both.*prefix_invariant"):
        tasks.get("byte_language_model").check('retention(direction="both")')
