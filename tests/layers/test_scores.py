"""Scores and heads of dot-product attention, and additive attention, against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.masks import AttentionMask
from keras_twa.ops import backend
from keras_twa.ops import dot_product_attention
from keras_twa.ops.softmax import additive
from keras_twa.ops.softmax import fused
from keras_twa.ops.softmax import tile_loop
from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import cross
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import lengths_mask
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask
from keras_twa.testing.scenarios import route

# Of queries and of keys.
REAL = {
    "query_mask": lengths_mask([7, 4], 7),
    "value_mask": lengths_mask([5, 2], 5),
}


def with_weights_of(theirs, ours, call):
    """Build two layers, and give ours the random weights of theirs."""
    for layer in (ours, theirs):
        layer(call["query"], call["value"])
    harness.randomise(theirs)
    assert {*harness.weight_names(ours)} == {*harness.weight_names(theirs)}
    harness.copy_weights(theirs, ours)


@pytest.mark.parametrize(
    ("few", "gated", "call"),
    [(2, False, cross()), (1, True, itself(use_causal_mask=True))],
    ids=["cross", "gated"],
)
def test_grouped_heads_equal_those_of_keras(few, gated, call):
    theirs = keras.layers.GroupQueryAttention(4, 4, few, use_gate=gated)
    ours = layers.DotProductAttention(4, 4, num_key_value_heads=few, gated=gated)
    with_weights_of(theirs, ours, call)
    call = {**call, "return_attention_scores": True}
    want, got = harness.run(theirs, call), harness.run(ours, call)
    assert_close(got.output, want.output, "output", 1e-5)
    assert_close(got.scores, want.scores, "scores", 1e-5)


@pytest.mark.parametrize("masks", [{}, REAL])
@pytest.mark.parametrize("causal", [False, True])
def test_additive_attention_equals_that_of_keras(masks, causal):
    width = 4
    # Keras aligns the causal mask with the first key.
    keys = 7 if causal else 5
    query, value = normal(2, 7, width), normal(2, keys, width, seed=1)
    key = normal(2, keys, width, seed=2)
    if masks and causal:
        masks = {**masks, "value_mask": REAL["query_mask"]}
    theirs, eye = keras.layers.AdditiveAttention(), np.eye(width)
    ours = layers.AdditiveAttention(1, width, use_bias=False)
    theirs.build([query.shape, value.shape, key.shape])
    ours.build(query.shape, value.shape, key.shape)
    scale = normal(width, seed=3)
    theirs.scale.assign(scale)
    weights = harness.weight_names(ours)
    for name in ("query", "key", "value"):
        weights[f"{name}/kernel"].assign(eye[:, None])
    weights["attention_output/kernel"].assign(eye[None])
    weights["score_kernel"].assign(scale[None])
    want, scores = theirs(
        [ops.convert_to_tensor(x) for x in (query, value, key)],
        mask=[ops.convert_to_tensor(x) for x in masks.values()] or None,
        use_causal_mask=causal,
        return_attention_scores=True,
    )
    got = harness.run(
        ours,
        {"query": query, "value": value, "key": key, "use_causal_mask": causal}
        | {"return_attention_scores": True, **masks},
    )
    assert_close(got.output, harness.to_numpy(want), "output", 1e-5)
    seen = np.ones((2, 7, 1), bool)
    seen = masks["query_mask"][:, :, None] if masks else seen
    expected = np.where(seen, harness.to_numpy(scores), 0.0)
    assert_close(got.scores[:, 0], expected, "scores", 1e-5)


def test_luongs_concat_is_additive():
    query, value = normal(2, 7, 4), normal(2, 5, 3, seed=1)
    layer = layers.AdditiveAttention(1, 6, use_bias=False)
    layer(query, value)
    weights = harness.weights_of(layer)
    joint = [weights[f"{name}/kernel"][:, 0] for name in ("query", "key")]
    joint = np.concatenate(joint)
    logits = np.zeros((2, 7, 5))
    for b, i, j in np.ndindex(logits.shape):
        hidden = np.tanh(np.concatenate([query[b, i], value[b, j]]) @ joint)
        logits[b, i, j] = weights["score_kernel"][0] @ hidden
    want = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    _, scores = layer(query, value, return_attention_scores=True)
    assert_close(harness.to_numpy(scores)[:, 0], want, "scores", 1e-5)


def test_tiles_of_additive_attention_hold_no_more_numbers_than_others(monkeypatch):
    # All pairs have 2 x 12 x 10 x 8 numbers, of which a tile may hold at most 200.
    sizes, most = [], 200
    monkeypatch.setattr(tile_loop, "TILE_ELEMENTS", most)
    monkeypatch.setattr(tile_loop, "TILE_QUERIES", 4)
    real = additive.Additive.__call__

    def watching(self, query, key):
        sizes.append(np.prod([*query["query"].shape, key["key"].shape[-1]]))
        return real(self, query, key)

    monkeypatch.setattr(additive.Additive, "__call__", watching)
    layer = layers.AdditiveAttention(1, 8)
    call = cross(12, 10)
    layer.build(call["query"].shape, call["value"].shape)
    harness.run_with_gradients(layer, call, np.ones((2, 12, 6), "float32"))
    assert sizes and max(sizes) <= most


def test_a_state_holds_few_heads():
    layer = layers.DotProductAttention(6, 4, num_key_value_heads=2, value_dim=3)
    state = layer.initial_state(5, max_length=9)
    assert tuple(state["key"].shape) == (5, 9, 2, 4)
    assert tuple(state["value"].shape) == (5, 9, 2, 3)


def test_a_state_holds_normalised_keys():
    layer = layers.DotProductAttention(2, 16, qk_norm=True, use_bias=False)
    x = normal(2, 7, 6, scale=20.0)
    _, state = layer(x, use_causal_mask=True, return_state=True)
    squares = np.square(harness.to_numpy(state["key"])).mean(-1)
    assert_close(squares, np.ones((2, 7, 2)), "mean squares of keys")


def test_cosines_begin_at_ten_whatever_the_lengths():
    layer = layers.DotProductAttention(2, 4, score="cosine", use_bias=False)
    x = normal(1, 7, 6)
    _, scores = layer(x, return_attention_scores=True)
    scores = harness.to_numpy(scores)
    weights = harness.weights_of(layer)
    query, key = (
        np.einsum("btf,fhd->bhtd", x, weights[f"{name}/kernel"])
        for name in ("query", "key")
    )
    query, key = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key))
    want = np.exp(10 * query @ np.swapaxes(key, -1, -2))
    want = want / want.sum(-1, keepdims=True)
    assert_close(scores, want, "scores", 1e-3)
    _, longer = layer(30 * x, return_attention_scores=True)
    assert_close(harness.to_numpy(longer), scores, "scores of longer vectors", 1e-3)


def test_sinks_begin_as_a_softmax_plus_one():
    plain, layer = (layers.DotProductAttention(2, 4, sinks=x) for x in (False, True))
    call = {**cross(), "return_attention_scores": True}
    for one in (plain, layer):
        one(call["query"], call["value"])
    weights = harness.weight_names(layer)
    for name, variable in harness.weight_names(plain).items():
        variable.assign(weights[name].value)
    assert not harness.to_numpy(weights["sink_logits"].value).any()
    # One more key, of zeros, with a value of zero.
    more = np.concatenate([call["value"], np.zeros((2, 1, 3), "float32")], axis=1)
    want = harness.run(plain, {**call, "value": more})
    got = harness.run(layer, call)
    assert_close(got.output, want.output, "output", 1e-5)
    assert_close(got.scores, want.scores[..., :-1], "scores", 1e-5)


MASKS = {
    "nothing": AttentionMask(),
    "keys": AttentionMask(keys=lengths_mask([9, 4], 9)),
    "causal": AttentionMask(causal=True),
    "causal, padded": AttentionMask(
        True, lengths_mask([9, 7], 9), ~lengths_mask([3, 0], 9)
    ),
    "causal, pairs": AttentionMask(True, pairs=random_mask(2, 1, 9, 9)),
    "pairs": AttentionMask(pairs=random_mask(1, 3, 1, 9)),
}


@pytest.mark.skipif(
    backend.NAME != "torch",
    reason="on a CPU, PyTorch alone has the kernel: see test_gpu_routes_agree.py",
)
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("biased", [False, True])
def test_sinks_on_the_fused_kernel_are_those_on_tiles(name, biased):
    query, key, value = (normal(2, 9, 3, 4, seed=seed) for seed in range(3))
    tensors = [ops.convert_to_tensor(x) for x in (query, key, value)]
    mask = MASKS[name]
    mask = AttentionMask(
        mask.causal,
        *(
            x if x is None else ops.convert_to_tensor(x)
            for x in (mask.queries, mask.keys, mask.pairs)
        ),
    )
    options = {"sink": ops.convert_to_tensor(normal(3, seed=4))}
    if biased:
        options["key_bias"] = ops.convert_to_tensor(normal(1, 9, 3, seed=5))
    assert fused.route(*tensors, mask, **options) == "fused"
    got = dot_product_attention(*tensors, mask, **options)
    with route("tiled"):
        want = dot_product_attention(*tensors, mask, **options)
    assert_close(harness.to_numpy(got), harness.to_numpy(want), "output", 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"score": "euclidean"},
        {"score": None},
        {"num_key_value_heads": 3},
        {"num_key_value_heads": 0},
        {"num_key_value_heads": 2.0},
        {"num_key_value_heads": 8},
        {"qk_norm": "rms"},
        {"sinks": 4},
        {"gated": "sigmoid"},
        {"logit_soft_cap": 0.0},
        {"logit_soft_cap": -50},
        {"logit_soft_cap": "50"},
    ],
)
def test_dot_product_attention_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        layers.DotProductAttention(4, 8, **options)
