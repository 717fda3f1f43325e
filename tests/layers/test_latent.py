"""What the checks of all mechanisms do not say about latent attention."""

from unittest import mock

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.layers.attention import latent
from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask

BATCH, QUERIES, KEYS, WIDTH = 2, 5, 7, 6
X, SOURCE = normal(BATCH, QUERIES, WIDTH), normal(BATCH, KEYS, WIDTH, seed=1)


def made(num_heads=3, key_dim=8, **options):
    """Return a built layer with random weights."""
    layer = layers.LatentAttention(num_heads, key_dim, **options)
    layer.build(X.shape)
    harness.randomise(layer)
    return layer


def widths_of_keys(layer, *args, **options):
    """Call a layer; return the numbers and widths of heads that its kernel got."""
    with mock.patch.object(
        latent, "dot_product_attention", wraps=latent.dot_product_attention
    ) as kernel:
        layer(*args, **options)
    _, key, value = kernel.call_args.args
    return tuple(key.shape[2:]), tuple(value.shape[2:])


@pytest.mark.parametrize(
    "hidden",
    [
        {},
        {"value_mask": random_mask(BATCH, KEYS)},
        {"attention_mask": random_mask(BATCH, 1, KEYS, seed=2)},
        {"attention_mask": random_mask(BATCH, 3, 1, KEYS, seed=3)},
        {"query_mask": np.array([[True], [False]])},
        {"use_causal_mask": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("query_latent_dim", [None, 4])
def test_one_query_gets_the_same_in_the_latent_space(hidden, query_latent_dim):
    layer = made(query_latent_dim=query_latent_dim, value_dim=5)
    call = {"query": X[:, :1], "value": SOURCE, "return_attention_scores": True}
    absorbed = [harness.to_numpy(x) for x in layer(**call, **hidden)]
    with mock.patch.object(
        layers.LatentAttention,
        "_attend_in_latent_space",
        layers.LatentAttention._attend_in_heads,
    ):
        expanded = [harness.to_numpy(x) for x in layer(**call, **hidden)]
    for one, other in zip(absorbed, expanded, strict=True):
        assert one.shape == other.shape
        assert_close(one, other, "in the latent space", 1e-5)


def test_steps_do_not_expand_the_state():
    layer = made(latent_dim=10, rotary_dim=4)
    _, state = layer(SOURCE, use_causal_mask=True, return_state=True)
    options = {"use_causal_mask": True, "initial_state": state}
    assert widths_of_keys(layer, X[:, :1], **options) == ((1, 14), (1, 10))
    assert widths_of_keys(layer, X, **options) == ((3, 8), (3, 8))
    assert widths_of_keys(layer, X) == ((3, 8), (3, 8))


def test_the_state_is_small():
    def size(layer):
        state = layer.initial_state(1, max_length=10)
        wide = [x for name, x in state.items() if name not in ("real", "time")]
        return sum(np.prod(x.shape) for x in wide)

    plain = layers.DotProductAttention(8, 64)
    assert size(layers.LatentAttention(8, 64)) <= 0.3 * size(plain)


def test_int8_expands_the_state_and_stays_close():
    layer = made()
    call = {"query": X[:, :1], "value": SOURCE}
    want = harness.to_numpy(layer(**call))
    for dense in (layer.key_dense, layer.value_dense):
        dense.quantize("int8")
    got = harness.to_numpy(layer(**call))
    assert not np.array_equal(got, want)
    assert_close(got, want, "output", 0.1)


def test_lora_counts_in_the_latent_space():
    layer = made()
    layer.key_dense.enable_lora(2)
    layer.value_dense.enable_lora(2)
    harness.randomise(layer)
    _, state = layer(X, use_causal_mask=True, return_state=True)
    both = np.concatenate([X, SOURCE[:, :1]], axis=1)
    whole = harness.to_numpy(layer(both, use_causal_mask=True))
    last, _ = layer.step(SOURCE[:, 0], state)
    assert_close(harness.to_numpy(last), whole[:, -1], "a step", 1e-5)


def test_default_sizes():
    def sizes(*args):
        layer = layers.LatentAttention(*args)  # heads, and widths of keys and values
        return layer.latent_dim, layer.rotary_dim, layer.content_dim

    assert sizes(8, 64) == (256, 20, 44)
    # Those of DeepSeek-V2.
    assert sizes(128, 192, 128) == (512, 64, 128)
    assert sizes(1, 3) == (1, 2, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"latent_dim": 0},
        {"query_latent_dim": -1},
        {"rotary_dim": 3},
        {"rotary_dim": 8},
        {"rotary_dim": 0},
        {"key_dim": 2},
        {"positions": "alibi"},
    ],
    ids=str,
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.LatentAttention(**{"num_heads": 2, "key_dim": 8, **options})


def test_positions_rotate_some_channels_only():
    slow = layers.RotaryPositions(scaling_factor=1e9)
    layer, still = made(), made(positions=slow)
    harness.copy_weights(layer, still)
    times = np.arange(QUERIES, dtype="float32")
    moved = harness.to_numpy(layer(X, query_positions=times))
    unmoved = harness.to_numpy(layer(X, query_positions=0 * times))
    assert np.abs(moved - unmoved).max() > 1e-3
    got = harness.to_numpy(still(X, query_positions=times))
    assert_close(got, unmoved, "with slow rotation", 1e-5)
