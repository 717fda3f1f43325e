"""What the checks of all mechanisms do not say about differential attention."""

import math

import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.models import CausalLM
from keras_twa.testing import harness
from keras_twa.testing.scenarios import normal

X = normal(2, 7, 6)


def made(**options):
    """Return a built layer."""
    layer = layers.DifferentialAttention(2, 8, **options)
    layer.build(X.shape)
    return layer


def test_it_has_as_many_weights_as_dot_product_attention():
    plain = layers.DotProductAttention(2, 8)
    plain.build(X.shape)
    vectors, scale = 4 * (8 // 2), 8
    assert made().count_params() == plain.count_params() + vectors + scale


@pytest.mark.parametrize("depth", [0, 1, 11])
def test_the_initial_factor_follows_the_depth(depth):
    layer = made(depth=depth)
    initial = 0.8 - 0.6 * math.exp(-0.3 * depth)
    assert layer.lambda_init == pytest.approx(initial)
    layer.lambda_kernel.assign(np.zeros((2, 2, 4), "float32"))
    _, maps = layer(X, return_attention_scores=True)
    harness.assert_close(harness.to_numpy(ops.sum(maps, -1)), 1 - initial, "sums", 1e-5)


def test_what_both_maps_share_cancels():
    layer = made(use_bias=False)
    # With equal halves of queries and keys, and a factor of 1, the maps are the same.
    for dense in (layer.query_dense, layer.key_dense):
        kernel = harness.to_numpy(dense.kernel)
        dense.kernel.assign(np.concatenate([kernel[..., :4]] * 2, axis=-1))
    vectors = np.zeros((2, 2, 4), "float32")
    vectors[0, 0, 0], vectors[0, 1, 0] = 1.0, math.log(2 - layer.lambda_init)
    layer.lambda_kernel.assign(vectors)
    outputs, maps = layer(X, return_attention_scores=True)
    harness.assert_close(harness.to_numpy(maps), 0.0, "maps", 1e-6)
    harness.assert_close(harness.to_numpy(outputs), 0.0, "outputs", 1e-3)


def test_maps_may_be_negative():
    layer = made()
    harness.randomise(layer)
    _, maps = layer(X, use_causal_mask=True, return_attention_scores=True)
    assert harness.to_numpy(maps).min() < 0


@pytest.mark.parametrize(
    "options", [{"depth": -1}, {"depth": 0.5}, {"key_dim": 5}, {"positions": "none"}]
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.DifferentialAttention(**{"num_heads": 2, "key_dim": 8, **options})


def test_each_block_of_a_model_has_its_depth():
    texts = [f"differential(depth={depth})" for depth in range(2)]
    model = CausalLM(
        vocabulary_size=9,
        attention=texts,
        num_layers=2,
        embedding_dim=8,
        num_heads=2,
        intermediate_dim=16,
    )
    model.build((None, None))
    depths = [x.depth for x in model._flatten_layers() if hasattr(x, "depth")]
    assert depths == [0, 1]
