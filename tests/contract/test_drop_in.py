"""The layers can replace keras.layers.MultiHeadAttention."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import checks
from keras_twa.testing import harness
from keras_twa.testing import scenarios
from tests.contract.cases import PLAIN
from tests.contract.marks import on_some

CALLS = {
    "cross": scenarios.cross(),
    "padded": scenarios.cross(value_mask=scenarios.lengths_mask([5, 3], 5)),
    "causal": scenarios.itself(use_causal_mask=True),
    "pairs": scenarios.cross(attention_mask=scenarios.random_mask(2, 7, 5)),
    "padded causal": scenarios.itself(
        value_mask=scenarios.lengths_mask([7, 4], 7), use_causal_mask=True
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("scored", [False, True])
def test_dot_product_equals_multi_head_attention(name, scored):
    call = {**CALLS[name], "return_attention_scores": scored}
    options = {"num_heads": 2, "key_dim": 4, "output_shape": 5}
    ours = layers.DotProductAttention(**options)
    theirs = keras.layers.MultiHeadAttention(**options)
    for layer in (ours, theirs):
        layer(call["query"], call["value"])
    harness.randomise(theirs)
    names = harness.weight_names(ours)
    assert set(names) == set(harness.weight_names(theirs))
    harness.copy_weights(theirs, ours)
    want, got = harness.run(theirs, call), harness.run(ours, call)
    checks.assert_close(got.output, want.output, "output", 1e-5)
    if scored:
        checks.assert_close(got.scores, want.scores, "scores", 1e-5)


def swappable_model(attention):
    """Return a functional model with two calls of attention, one causal."""
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, 6, mask_zero=True)(tokens)
    x = keras.layers.Add()([x, attention(name="first")(x, x, use_causal_mask=True)])
    memory = keras.Input((None, 3))
    y, scores = attention(name="second")(x, memory, return_attention_scores=True)
    return keras.Model([tokens, memory], [keras.layers.LayerNormalization()(y), scores])


SWAPS = [case for case in PLAIN if case.has_pairs and case.facts.cross_attention]


@pytest.mark.parametrize("case", SWAPS, ids=lambda case: case.id)
def test_functional_model(case):
    model = swappable_model(case.make)
    original = swappable_model(
        lambda name: keras.layers.MultiHeadAttention(2, 4, name=name)
    )
    inputs = [checks.small_tokens(2), scenarios.normal(2, 4, 3)]
    got = model.predict(inputs, verbose=0)
    want = original.predict(inputs, verbose=0)
    assert got[0].shape == want[0].shape
    assert got[1].shape[0] == 2 and got[1].shape[2:] == want[1].shape[2:]
    assert np.isfinite(got[0]).all()


@on_some(PLAIN)
def test_subclassed_model(case):
    class Classifier(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = keras.layers.Embedding(9, 6, mask_zero=True)
            self.attention = case.make()
            self.pool = keras.layers.GlobalAveragePooling1D()
            self.head = keras.layers.Dense(3)

        def call(self, tokens, training=None):
            x = self.embedding(tokens)
            x = self.attention(x, x, training=training)
            return self.head(self.pool(x))

    model = Classifier()
    tokens = checks.small_tokens()
    short, long = tokens, np.pad(tokens, [(0, 0), (0, 3)])
    checks.assert_close(
        harness.to_numpy(model(short)), harness.to_numpy(model(long)), "logits", 1e-5
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    loss = model.train_on_batch(tokens, np.arange(4) % 3)
    assert np.isfinite(loss)


@on_some(PLAIN)
def test_sequential_model(case):
    model = keras.Sequential(
        [
            keras.layers.Embedding(9, 6, mask_zero=True),
            case.make(),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(3),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    tokens = checks.small_tokens()
    history = model.fit(tokens, np.arange(4) % 3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    padded = np.pad(tokens, [(0, 0), (0, 2)])
    checks.assert_close(
        model.predict(padded, verbose=0), model.predict(tokens, verbose=0), "logits"
    )


def test_names_resolve():
    for case in PLAIN:
        name = layers.name_of(case.layer)
        made = layers.get(name, num_heads=2, key_dim=4)
        assert type(made) is case.layer
        assert layers.get(made) is made


@pytest.mark.parametrize("near", ["dot_produkt", "gravitation", "MultiTimescale"])
def test_an_unknown_name_gets_suggestions(near):
    with pytest.raises(ValueError, match="Received:") as caught:
        layers.get(near, num_heads=2, key_dim=4)
    assert any(layers.name_of(c.layer) in str(caught.value) for c in PLAIN)
