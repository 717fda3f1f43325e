"""Calls of the attention work as before, or are refused before anything changes."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_twa
from keras_twa import layers
from tests.swapping import models

L = keras.layers


def masked(causal=False):
    """Return a model whose padded rows do not count, with an explicit sum."""
    tokens = keras.Input((None,), dtype="int32")
    x = L.Embedding(models.WORDS, models.WIDTH, mask_zero=True)(tokens)
    y = models.attention("attention")(x, x, use_causal_mask=causal)
    return keras.Model(tokens, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


def cross():
    query, value = (
        keras.Input((None, 8), name="query"),
        keras.Input((None, 6), name="value"),
    )
    mask = keras.Input((None,), dtype="bool", name="mask")
    y = models.attention("crossing")(query, value, value_mask=mask)
    return keras.Model([query, value, mask], y)


def paired():
    x = keras.Input((5, 8), name="x")
    pairs = keras.Input((5, 5), dtype="bool", name="pairs")
    y = models.attention("before")(x, x)
    y = models.attention("paired")(y, y, attention_mask=pairs)
    return keras.Model([x, pairs], y)


@keras.saving.register_keras_serializable(package="tests.swapping")
class Equal(L.Layer):
    """Attends to a tensor that equals the query, but is another."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = models.attention("attention")

    def call(self, x):
        return self.attention(x, x * 1.0)


def rows(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("causal", [False, True])
def test_masks(causal):
    model = masked(causal)
    swapped = keras_twa.swap_attention(model, "dot_product")
    want, got = (models.outputs(each, models.PADDED) for each in (model, swapped))
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert "padding masks" in str(swapped.swap_report)
    longer = np.pad(models.PADDED, [(0, 0), (0, 3)])
    np.testing.assert_allclose(models.outputs(swapped, longer), got, atol=1e-5)
    again = keras_twa.swap_attention(swapped, "temporal_weighted")
    assert "padding masks" not in str(again.swap_report)


def test_causal_calls_stay_causal():
    x = keras.Input((5, 8))
    model = keras.Model(x, models.attention("a")(x, x, use_causal_mask=True))
    swapped = keras_twa.swap_attention(model, "retention")
    given = rows(1, 5, 8)
    before = models.outputs(swapped, given)
    given[:, 3:] += 1
    np.testing.assert_allclose(models.outputs(swapped, given)[:, :3], before[:, :3])


def test_returned_scores():
    x = keras.Input((5, 8))
    model = keras.Model(x, models.attention("a")(x, x, return_attention_scores=True))
    swapped = keras_twa.swap_attention(model, "dot_product")
    given = rows(2, 5, 8)
    want, got = (each.predict(given, verbose=0) for each in (model, swapped))
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    with pytest.raises(ValueError, match=r"'a'.*no scores.*Received: return_att"):
        keras_twa.swap_attention(model, "linear")


def test_dropout_in_training_only():
    x = keras.Input((5, 8))
    model = keras.Model(x, models.attention("a", dropout=0.5)(x, x))
    swapped = keras_twa.swap_attention(model, "dot_product")
    given = rows(2, 5, 8)
    quiet = ops.convert_to_numpy(swapped(given, training=False))
    np.testing.assert_allclose(quiet, models.outputs(model, given), atol=1e-5)
    assert np.abs(ops.convert_to_numpy(swapped(given, training=True)) - quiet).max() > 0


def test_cross_attention():
    model = cross()
    swapped = keras_twa.swap_attention(model, "dot_product")
    given = [rows(2, 5, 8), rows(2, 3, 6), np.array([[1, 1, 0], [1, 0, 0]], "bool")]
    np.testing.assert_allclose(
        models.outputs(swapped, given), models.outputs(model, given), atol=1e-5
    )


@pytest.mark.parametrize(
    ("make", "attention", "path", "reason"),
    [
        (cross, "retention", "crossing", "own sequence only"),
        (paired, "linear", "paired", "no scores of pairs to mask"),
        (paired, "attention_of_theirs", "before", "Unknown attention"),
        (paired, "local(windo=1)", "before", "has no option `windo`"),
    ],
)
def test_refusals_name_the_path_and_change_nothing(make, attention, path, reason):
    model = make()
    model.compile("sgd", "mse")
    before, known = models.values(model), set(map(id, model._flatten_layers()))
    attributes = {id(x): set(vars(x)) for x in model._flatten_layers()}
    with pytest.raises(ValueError, match=rf"'{path}'.*{reason}.*Received: "):
        keras_twa.swap_attention(model, attention)
    assert {*map(id, model._flatten_layers())} == known
    for layer in model._flatten_layers():
        assert set(vars(layer)) == attributes[id(layer)]
        assert len(layer._inbound_nodes) <= 1
    for one, other in zip(models.values(model), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.compiled


def test_other_layers_can_still_be_exchanged():
    swapped = keras_twa.swap_attention(paired(), "linear", where="before")
    assert isinstance(swapped.get_layer("before"), layers.LinearAttention)


def test_equal_tensors_are_not_the_same():
    x = keras.Input((5, 8))
    model = keras.Model(x, Equal(name="equal")(x))
    with pytest.raises(ValueError, match=r"'equal/attention'.*own sequence only"):
        keras_twa.swap_attention(model, "retention")
    keras_twa.swap_attention(model, "temporal_weighted")


def test_the_same_tensor_stays_the_same_in_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    x = keras.Input((5, 8))
    model = keras.Model(x, models.attention("a")(x, x))
    swapped = keras_twa.swap_attention(model, "retention")
    assert np.isfinite(models.outputs(swapped, rows(2, 5, 8)).astype("float32")).all()


@keras.saving.register_keras_serializable(package="tests.swapping")
class Padding(L.Layer):
    """Passes padding as a mask of pairs, as keras-hub does."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = models.attention("attention")

    def call(self, x, real):
        return self.attention(x, x, attention_mask=real[:, None])


def test_padding_as_a_mask_of_pairs():
    tokens = keras.Input((5,), dtype="int32")
    x = L.Embedding(models.WORDS, models.WIDTH)(tokens)
    y = Padding(name="padding")(x, ops.not_equal(tokens, 0))
    model = keras.Model(tokens, y[:, 0])
    swapped = keras_twa.swap_attention(model, "linear")
    assert "AttentionAdapter" in str(swapped.swap_report)
    given = np.array([[1, 2, 3, 0, 0]]), np.array([[1, 2, 3, 0, 0]])
    got = models.outputs(swapped, given[0])
    # What is hidden has no effect.
    embedding = swapped.layers[1]
    table = ops.convert_to_numpy(embedding.embeddings).copy()
    table[0] = 100
    embedding.embeddings.assign(table)
    np.testing.assert_allclose(models.outputs(swapped, given[1]), got, atol=1e-6)


class Caching(L.MultiHeadAttention):
    """Has another argument, as keras-hub's attention has."""

    def call(self, query, value, key=None, cache=None, **options):
        return super().call(query, value, key, **options)


@keras.saving.register_keras_serializable(package="tests.swapping")
class Decoder(L.Layer):
    """Calls its attention with and without a cache."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = Caching(2, 4, name="attention")

    def call(self, x, cache=None):
        return self.attention(x, x, cache=cache)


def test_arguments_that_a_subclass_of_keras_adds():
    x = keras.Input((5, 8))
    model = keras.Model(x, Decoder(name="decoder")(x))
    swapped = keras_twa.swap_attention(model, "dot_product")
    given = rows(2, 5, 8)
    np.testing.assert_allclose(
        models.outputs(swapped, given), models.outputs(model, given), atol=1e-5
    )
    assert "Caching" in str(swapped.swap_report)
    with pytest.raises(ValueError, match=r"does not support `cache`.*Received: cache"):
        swapped.get_layer("decoder")(given, cache=given)


def test_a_list_is_in_the_order_of_calls():
    class Reversed(keras.Model):
        def __init__(self):
            super().__init__()
            self.second = models.attention("second")
            self.first = models.attention("first")

        def call(self, x):
            x = self.first(x, x)
            return self.second(x, x)

    model = Reversed()
    model(rows(2, 5, 8))
    swapped = keras_twa.swap_attention(model, ["retention", "dot_product"])
    assert isinstance(swapped.first, layers.RetentionAttention)
    assert isinstance(swapped.second, layers.DotProductAttention)
    with pytest.raises(ValueError, match=r"2.*Received: 1 entries"):
        keras_twa.swap_attention(model, ["retention"])


def test_what_could_not_be_traced_is_said():
    class TwoInputs(keras.Model):
        def __init__(self):
            super().__init__()
            self.attention = models.attention("attention")

        def call(self, x, y):
            return self.attention(x, y)

    model = TwoInputs()
    model(rows(2, 5, 8), rows(2, 3, 8))
    swapped = keras_twa.swap_attention(model, "dot_product")
    if "could not be traced" not in str(swapped.swap_report):
        # Keras knows both shapes.
        return
    np.testing.assert_allclose(
        ops.convert_to_numpy(swapped(rows(2, 5, 8), rows(2, 3, 8))),
        ops.convert_to_numpy(model(rows(2, 5, 8), rows(2, 3, 8))),
        atol=1e-5,
    )
