"""Layers give what the modules of other packages give, with the same weights."""

from unittest import mock

import performer_pytorch.performer_pytorch as performer_pytorch
import pytest
import reformer_pytorch
import torch
from local_attention import LocalMHA
from transformers.models.longformer import modeling_longformer as longformer
from transformers.models.mamba2 import Mamba2Config
from transformers.models.mamba2 import modeling_mamba2
from transformers.models.rwkv import modeling_rwkv as rwkv

from keras_twa import layers
from keras_twa.testing import harness
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
    theirs.assert_same(layer(x), expected)


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
    theirs.assert_same(layer(x, use_causal_mask=causal), module(x, mask=real))


def test_longformer():
    window, length = 8, 40
    config = longformer.LongformerConfig(
        attention_window=[window],
        hidden_size=FEATURES,
        num_attention_heads=HEADS,
        attention_probs_dropout_prob=0.0,
    )
    module = theirs.shake(longformer.LongformerSelfAttention(config, layer_id=0))
    for name in ("query", "key", "value"):
        # Theirs has other projections for global tokens, and more of them.
        ours = getattr(module, name).state_dict()
        getattr(module, f"{name}_global").load_state_dict(ours)
    layer = built(layers.LocalAttention, window=window // 2 + 1, num_global_tokens=2)
    take_projections(layer, query=module.query, key=module.key, value=module.value)
    theirs.give(layer, "attention_output", torch.eye(FEATURES))
    x = theirs.sequences(BATCH, length, FEATURES)
    first = (torch.arange(length) < 2).expand(BATCH, length)
    expected = module(
        x,
        attention_mask=10_000.0 * first,
        is_index_masked=torch.zeros_like(first),
        is_index_global_attn=first,
        is_global_attn=True,
    )[0]
    theirs.assert_same(layer(x), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_lsh(causal):
    length = 32
    # Two chunks, each of which sees both: attention to all.
    module = reformer_pytorch.LSHSelfAttention(
        FEATURES, heads=HEADS, bucket_size=length // 2, n_hashes=1, causal=causal
    )
    theirs.shake(module)
    layer = built(layers.LSHAttention, bucket_size=length, num_hashes=1)
    theirs.give(layer, "query", module.toqk.weight)
    theirs.give(layer, "value", module.tov.weight)
    out = module.to_out
    theirs.give(layer, "attention_output", out.weight, out.bias)
    x = theirs.sequences(BATCH, length, FEATURES)
    theirs.assert_same(layer(x, use_causal_mask=causal), module(x))


def test_rwkv_4():
    module = rwkv.RwkvSelfAttention(rwkv.RwkvConfig(hidden_size=FEATURES))
    theirs.shake(module)
    layer = built(layers.RWKVAttention, use_bias=False)
    names = {"query": "receptance", "key": "key", "value": "value"}
    for ours, name in names.items():
        theirs.give(layer, ours, getattr(module, name).weight)
    theirs.give(layer, "attention_output", module.output.weight)
    weights = harness.weight_names(layer)
    for ours, name in names.items():
        mix = getattr(module, f"time_mix_{name}")
        weights[f"{ours}_shift"].assign(mix.detach().reshape(-1))
    for ours, name in (("decay", "time_decay"), ("bonus", "time_first")):
        given = getattr(module, name).detach()
        weights[ours].assign(given.reshape(HEADS, WIDTH))
    x = theirs.sequences(BATCH, LENGTH, FEATURES)
    theirs.assert_same(layer(x), module(x)[0])


@pytest.mark.parametrize("convolution", [None, 4])
@pytest.mark.parametrize("groups", [1, HEADS])
def test_mamba_2(groups, convolution):
    config = Mamba2Config(
        hidden_size=FEATURES,
        num_heads=HEADS,
        head_dim=WIDTH,
        expand=1,
        state_size=7,
        n_groups=groups,
        num_hidden_layers=1,
        chunk_size=16,
        use_bias=True,
    )
    module = theirs.shake(modeling_mamba2.Mamba2Mixer(config, layer_idx=0))
    with torch.no_grad():
        # Our convolution has no bias.
        module.conv1d.bias.zero_()
        if convolution is None:
            # The last of its weights is that of the step itself.
            module.activation = module.act = None
            module.conv1d.weight.zero_()[..., -1] = 1.0
    options = {"num_groups": groups, "convolution": convolution}
    layer = layers.Mamba2Attention(HEADS, 7, WIDTH, **options)
    layer.build((BATCH, LENGTH, FEATURES))
    names = ("gate", "value", "key", "query", "decay")
    widths = (FEATURES, FEATURES, 7 * groups, 7 * groups, HEADS)
    parts = (module.in_proj.weight.split(widths), module.in_proj.bias.split(widths))
    for name, weight, bias in zip(names, *parts, strict=True):
        theirs.give(layer, name, weight, bias)
    out = module.out_proj
    theirs.give(layer, "attention_output", out.weight, out.bias)
    weights = harness.weight_names(layer)
    given = {
        "decay_bias": module.dt_bias,
        "log_decay_rate": module.A_log,
        "skip": module.D,
        "norm_scale": module.norm.weight.reshape(HEADS, WIDTH),
    }
    if convolution is not None:
        value, key, query = module.conv1d.weight[:, 0].split(widths[1:4])
        given["convolution/kernel"] = torch.cat([query, key, value]).T
    for name, parameter in given.items():
        weights[name].assign(parameter.detach())
    x = theirs.sequences(BATCH, LENGTH, FEATURES)
    theirs.assert_same(layer(x), module(x))
