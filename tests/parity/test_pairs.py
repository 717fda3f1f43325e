"""Attention to pairs gives what the modules of `transformers` give."""

import pytest
import torch
from transformers.models.deepseek_v2 import modeling_deepseek_v2 as deepseek_v2
from transformers.models.deepseek_v3 import modeling_deepseek_v3 as deepseek_v3
from transformers.models.diffllama import modeling_diffllama as diffllama

from keras_twa import layers
from keras_twa.testing import harness
from tests.parity import theirs

BATCH, LENGTH, HEADS, FEATURES = 2, 13, 3, 12
# The widths of the parts of a key, of a value and of the latent vectors, which must be
# even in version 2.
CONTENT, ROTARY, VALUE, LATENT, QUERY_LATENT = 6, 4, 5, 8, 7
STEPS = torch.arange(LENGTH)[None]


def only_the_past():
    """Return a mask to be added to scores."""
    hidden = torch.full((LENGTH, LENGTH), -torch.inf).triu(1)
    return hidden[None, None]


def step_by_step(layer, x):
    """Return the outputs of a layer, one step at a time."""
    state, outputs = layer.initial_state(BATCH), []
    for i in range(LENGTH):
        output, state = layer.step(x[:, i], state)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def of_maps(weight, width, rotates=False):
    """Return a weight whose heads are those of one map, then those of the other.

    Our heads hold both. Their rotation turns channels half a head apart.
    """
    parts = weight.detach().reshape(2, HEADS, width, FEATURES)
    if rotates:
        parts = parts.reshape(2, HEADS, 2, width // 2, FEATURES).transpose(2, 3)
    parts = parts.reshape(2, HEADS, width, FEATURES).transpose(0, 1)
    return parts.reshape(-1, FEATURES)


@pytest.mark.parametrize("depth", [0, 3])
def test_differential(depth):
    width = 4
    config = diffllama.DiffLlamaConfig(
        hidden_size=FEATURES,
        num_attention_heads=2 * HEADS,
        num_key_value_heads=2 * HEADS,
        head_dim=width,
        attn_implementation="eager",
    )
    module = theirs.shake(diffllama.DiffLlamaAttention(config, layer_idx=depth))
    layer = layers.DifferentialAttention(
        HEADS, 2 * width, depth=depth, use_bias=False, positions="rotary"
    )
    layer.build((BATCH, LENGTH, FEATURES))
    for name, part in {"query": "q_proj", "key": "k_proj", "value": "v_proj"}.items():
        weight = of_maps(getattr(module, part).weight, width, name != "value")
        theirs.give(layer, name, weight)
    theirs.give(layer, "attention_output", module.o_proj.weight)
    names = ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2")
    vectors = torch.stack([getattr(module, name).detach() for name in names])
    layer.lambda_kernel.assign(vectors.reshape(2, 2, width))

    x = theirs.sequences(BATCH, LENGTH, FEATURES)
    angles = diffllama.DiffLlamaRotaryEmbedding(config)(x, STEPS)
    # Their norm has this epsilon by default.
    assert module.groupnorm.eps == layer.norm.epsilon
    expected, _ = module(x, angles, only_the_past())
    theirs.assert_same(layer(x, use_causal_mask=True), expected)
    theirs.assert_same(step_by_step(layer, x), expected)


@pytest.mark.parametrize("query_latent_dim", [None, QUERY_LATENT])
@pytest.mark.parametrize("version", [2, 3])
def test_latent(version, query_latent_dim):
    sizes = {
        "hidden_size": FEATURES,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "q_lora_rank": query_latent_dim,
        "kv_lora_rank": LATENT,
        "qk_nope_head_dim": CONTENT,
        "qk_rope_head_dim": ROTARY,
        "v_head_dim": VALUE,
        "attention_bias": True,
        "attn_implementation": "eager",
    }
    if version == 2:
        config = deepseek_v2.DeepseekV2Config(**sizes)
        module = deepseek_v2.DeepseekV2Attention(config, layer_idx=0)
        rotation = deepseek_v2.DeepseekV2RotaryEmbedding(config)
    else:
        config = deepseek_v3.DeepseekV3Config(**sizes)
        module = deepseek_v3.DeepseekV3Attention(config, layer_idx=0)
        rotation = deepseek_v3.DeepseekV3RotaryEmbedding(config)
    theirs.shake(module)
    layer = layers.LatentAttention(
        HEADS,
        CONTENT + ROTARY,
        value_dim=VALUE,
        latent_dim=LATENT,
        rotary_dim=ROTARY,
        query_latent_dim=query_latent_dim,
    )
    layer.build((BATCH, LENGTH, FEATURES))
    give_latent(layer, module)

    x = theirs.sequences(BATCH, LENGTH, FEATURES)
    expected, weights = module(
        x, position_embeddings=rotation(x, STEPS), attention_mask=only_the_past()
    )
    ours = {"use_causal_mask": True, "return_attention_scores": True}
    outputs, scores = layer(x, **ours)
    theirs.assert_same(outputs, expected)
    theirs.assert_same(scores, weights)
    theirs.assert_same(step_by_step(layer, x), expected)


def give_latent(layer, module):
    """Give our layer the weights of their module."""
    own = harness.weight_names(layer)
    if module.q_lora_rank is None:
        theirs.give(layer, "query", module.q_proj.weight)
    else:
        theirs.give(layer, "query/down", module.q_a_proj.weight, module.q_a_proj.bias)
        own["query/norm/scale"].assign(module.q_a_layernorm.weight.detach())
        theirs.give(layer, "query/up", module.q_b_proj.weight)
    both = module.kv_a_proj_with_mqa
    for name, rows in (("latent", slice(LATENT)), ("rotary_key", slice(LATENT, None))):
        theirs.give(layer, name, both.weight[rows], both.bias[rows])
    own["latent_norm/scale"].assign(module.kv_a_layernorm.weight.detach())
    up = module.kv_b_proj.weight.reshape(HEADS, CONTENT + VALUE, LATENT)
    theirs.give(layer, "key_up", up[:, :CONTENT].reshape(-1, LATENT))
    theirs.give(layer, "value_up", up[:, CONTENT:].reshape(-1, LATENT))
    output = module.o_proj
    theirs.give(layer, "attention_output", output.weight, output.bias)
