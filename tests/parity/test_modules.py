"""Layers give what the modules of other packages give, with the same weights."""

from unittest import mock

import performer_pytorch.performer_pytorch as performer_pytorch
import pytest
import torch
from local_attention import LocalMHA

from keras_twa import layers
from tests.parity import theirs

BATCH, LENGTH, HEADS, WIDTH = 2, 45, 3, 4
FEATURES = HEADS * WIDTH


def built(layer_class, **options):
    """Return a layer of these sizes, built."""
    layer = layer_class(num_heads=HEADS, key_dim=WIDTH, **options)
    layer.build((BATCH, LENGTH, FEATURES))
    return layer


def take_projections(layer, **modules):
    """Give a layer the projections of a module, by name."""
    for name, module in modules.items():
        theirs.give(layer, name, module.weight, module.bias)


def test_performer():
    module = performer_pytorch.SelfAttention(
        FEATURES, heads=HEADS, dim_head=WIDTH, nb_features=7
    )
    theirs.shake(module)
    layer = built(layers.PerformerAttention, num_features=7)
    take_projections(
        layer,
        query=module.to_q,
        key=module.to_k,
        value=module.to_v,
        attention_output=module.to_out,
    )
    layer.directions.assign(module.fast_attention.projection_matrix.T)
    x = theirs.sequences(BATCH, LENGTH, FEATURES)
    # They add 1e-4 to every feature.
    exact = performer_pytorch.softmax_kernel

    def without(*arguments, **options):
        return exact(*arguments, **options, eps=0.0)

    with mock.patch.object(performer_pytorch, "softmax_kernel", without):
        expected = module(x)
    theirs.equal(layer(x), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_local(causal):
    window = 8
    module = LocalMHA(
        dim=FEATURES,
        window_size=window,
        dim_head=WIDTH,
        heads=HEADS,
        causal=causal,
        use_rotary_pos_emb=False,
    )
    theirs.shake(module)
    # They do not count the step itself.
    layer = built(layers.LocalAttention, window=window + 1, use_bias=False)
    for number, name in enumerate(("query", "key", "value")):
        theirs.give(layer, name, module.to_qkv.weight.chunk(3)[number])
    theirs.give(layer, "attention_output", module.to_out.weight)
    x = theirs.sequences(BATCH, LENGTH, FEATURES)
    # Without a mask, they see what they fill the last window with.
    real = torch.ones((BATCH, LENGTH), dtype=torch.bool)
    theirs.equal(layer(x, use_causal_mask=causal), module(x, mask=real))
