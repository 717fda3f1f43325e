"""Our layers take the options, configs and sublayers of Keras's attention layers."""

from unittest import mock

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.ops.softmax import fused
from keras_twa.ops.softmax import sliding_window
from keras_twa.testing import harness
from keras_twa.testing import scenarios
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import normal
from tests.contract.cases import PLAIN
from tests.contract.marks import on_some
from tests.contract.test_keras_attention_tests import DENSE
from tests.contract.test_keras_attention_tests import built
from tests.contract.test_keras_attention_tests import close
from tests.contract.test_keras_attention_tests import mostly_on_torch


@pytest.mark.parametrize("bad", [0, -3, 2.5, True])
def test_sliding_window_validation(bad):
    with pytest.raises(ValueError, match="sliding_window"):
        layers.DotProductAttention(num_heads=2, key_dim=4, sliding_window=bad)


def test_sliding_window_serialization():
    layer = layers.DotProductAttention(num_heads=2, key_dim=4, sliding_window=5)
    config = layer.get_config()
    assert config["sliding_window"] == 5
    assert layers.DotProductAttention.from_config(config).sliding_window == 5


OF_KERAS = [
    {"num_heads": 2, "key_dim": 4},
    {"num_heads": 2, "key_dim": 4, "value_dim": 3, "use_bias": False, "dropout": 0.1},
    {"num_heads": 2, "key_dim": 4, "use_gate": True, "output_shape": (5, 2)},
    {"num_heads": 2, "key_dim": 4, "sliding_window": 2, "kernel_initializer": "ones"},
    {"num_heads": 3, "key_dim": 4, "attention_axes": (1,), "seed": 3},
]
GROUPED = [
    {"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 3},
    {"num_query_heads": 4, "num_key_value_heads": 1, "head_dim": 3, "use_gate": True},
    {
        "num_query_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "sliding_window": 3,
    },
]
CONFIGS = [(keras.layers.MultiHeadAttention, options) for options in OF_KERAS]
CONFIGS += [(keras.layers.GroupQueryAttention, options) for options in GROUPED]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize(("layer", "options"), CONFIGS, ids=str)
def test_config_of_keras(layer, options, scored, causal):
    theirs = layer(**options)
    x = normal(2, 6, 8)
    theirs.build(x.shape, x.shape)
    harness.randomise(theirs)
    ours = layers.DotProductAttention.from_config(theirs.get_config())
    ours.build(x.shape, x.shape)
    harness.copy_weights(theirs, ours)
    call = {"use_causal_mask": causal, "return_attention_scores": scored}
    got, want = ours(x, x, **call), theirs(x, x, **call)
    for one, other in zip(got, want, strict=True) if scored else [(got, want)]:
        close(one, other, 1e-4)
    assert ours.name == theirs.name


@pytest.mark.parametrize("lengths", [(5, 9), (9, 5)], ids=str)
def test_sliding_window_of_other_lengths(lengths):
    options = {"num_heads": 2, "key_dim": 4, "sliding_window": 3}
    query, value = normal(2, lengths[0], 8), normal(2, lengths[1], 8)
    theirs = keras.layers.MultiHeadAttention(**options)
    theirs.build(query.shape, value.shape)
    harness.randomise(theirs)
    ours = layers.DotProductAttention(**options)
    ours.build(query.shape, value.shape)
    harness.copy_weights(theirs, ours)
    got, want = (
        layer(query, value, return_attention_scores=True) for layer in (ours, theirs)
    )
    # Queries that see nothing are left out: Keras has no defined output for them.
    seen = np.arange(lengths[0]) < lengths[1] + 2
    for one, other, axis in zip(got, want, (1, 2), strict=True):
        one, other = (np.compress(seen, to_numpy(x), axis) for x in (one, other))
        close(one, other)


WINDOWED = [
    {},
    {"sinks": True},
    {"logit_soft_cap": 2.0, "qk_norm": True},
    {"positions": "rotary", "score": "cosine", "num_key_value_heads": 1},
    {"positions": "alibi", "gated": True},
    {"positions": "t5", "sinks": True},
]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("options", WINDOWED, ids=str)
def test_sliding_window_equals_a_mask_of_pairs(options, causal):
    x = normal(2, 40, 8)
    options = {"num_heads": 2, "key_dim": 4, **options}
    windowed = built(layers.DotProductAttention(sliding_window=3, **options), x.shape)
    full = built(layers.DotProductAttention(**options), x.shape)
    lags = np.subtract.outer(np.arange(40), np.arange(40))
    mask = scenarios.lengths_mask([40, 29], 40)
    call = {"query_mask": mask, "value_mask": mask, "use_causal_mask": causal}
    want = full(x, x, attention_mask=abs(lags) < 3, **call)
    close(windowed(x, x, **call), want, 1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_sliding_window_costs_what_its_keys_do(causal):
    x = normal(1, 1024, 8)
    layer = built(layers.DotProductAttention(2, 4, sliding_window=3), x.shape)
    with mock.patch.object(
        sliding_window, "tiled_attention", side_effect=AssertionError
    ):
        layer(x, x, use_causal_mask=causal)


def test_flash_attention_off_takes_no_fused_kernel():
    x = normal(2, 6, 8)
    layer = built(layers.DotProductAttention(2, 4, flash_attention=False), x.shape)
    want = built(layers.DotProductAttention(2, 4), x.shape)(x, x)
    with mock.patch.object(fused, "_fused", side_effect=AssertionError):
        close(layer(x, x), want)


def test_sliding_window_has_no_states():
    layer = layers.DotProductAttention(2, 4, sliding_window=3)
    x = normal(2, 5, 8)
    with pytest.raises(ValueError, match=r"`LocalAttention`.* Received: "):
        layer(x, use_causal_mask=True, return_state=True)
    with pytest.raises(ValueError, match=r"`LocalAttention`.* Received: "):
        layer.initial_state(2)


def test_use_gate_is_gated():
    assert layers.DotProductAttention(2, 4, use_gate=True).gated
    assert not layers.DotProductAttention(2, 4, use_gate=False).gated
    with pytest.raises(ValueError, match="Received: gated=True, use_gate=False"):
        layers.DotProductAttention(2, 4, gated=True, use_gate=False)
    with pytest.raises(ValueError, match=r"`gated` of .* Received: use_gate=True"):
        layers.GravitationalAttention(2, 4, use_gate=True)


@on_some(PLAIN)
def test_dense_sublayers_are_read_only(case):
    layer = case.make()
    with pytest.raises(AttributeError):
        layer.query_dense  # noqa: B018
    layer.build((2, 4, 8))
    assert layer.query_dense.name == "query"
    assert layer.output_dense.name == "attention_output"
    with pytest.raises(AttributeError):
        layer.output_dense = None


@on_some(mostly_on_torch(PLAIN))
def test_lora(case, tmp_path):
    def model():
        x = keras.Input((3, 8))
        return keras.Model(x, case.make(use_bias=False, name="attention")(x, x))

    x, tuned = normal(2, 3, 8), model()
    layer = tuned.get_layer("attention")
    count = len(layer.trainable_variables)
    adapted = [name for name in DENSE[:3] if getattr(layer, name, None) is not None]
    assert len(adapted) >= 2
    for name in adapted:
        getattr(layer, name).enable_lora(2)
    assert len(layer.trainable_variables) == count + len(adapted)
    tuned.compile("sgd", "mse")
    tuned.fit(x, normal(2, 3, 8, seed=2), verbose=0)
    tuned.save(tmp_path / "tuned.keras")
    loaded = keras.models.load_model(tmp_path / "tuned.keras")
    close(tuned.predict(x, verbose=0), loaded.predict(x, verbose=0))
    tuned.save_weights(tmp_path / "tuned.weights.h5")
    plain = model()
    plain.load_weights(tmp_path / "tuned.weights.h5")
    close(tuned.predict(x, verbose=0), plain.predict(x, verbose=0))
