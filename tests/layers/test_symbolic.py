"""Attention inside a layer of one's own, whose shapes Keras asks for with symbols."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from tests.few import a_few

WIDTH = 6


class Holder(keras.layers.Layer):
    """Calls its attention, and says nothing of its shapes."""

    def __init__(self, attention, **options):
        super().__init__()
        self.attention = attention
        self.options = options

    def call(self, query, value=None):
        value = query if value is None else value
        return self.attention(query, value, **self.options)


def shapes(outputs):
    return [(tuple(x.shape), x.dtype) for x in keras.tree.flatten(outputs)]


@pytest.mark.parametrize("name", a_few(layers.mechanisms()))
def test_unknown_lengths(name):
    inputs = keras.Input((None, WIDTH))
    layer = Holder(layers.get(name, num_heads=2, key_dim=4))
    outputs = layer(inputs)
    assert shapes(outputs) == [((None, None, WIDTH), "float32")]
    rows = np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype("float32")
    got = keras.Model(inputs, outputs).predict(rows, verbose=0)
    np.testing.assert_allclose(
        got, keras.ops.convert_to_numpy(layer(rows)), atol=1e-5, rtol=1e-5
    )


def test_scores_and_output_shapes():
    keras.config.set_dtype_policy("mixed_bfloat16")
    attention = layers.DotProductAttention(2, 4, output_shape=(3, 5))
    layer = Holder(attention, return_attention_scores=True)
    found = shapes(layer(keras.Input((7, WIDTH)), keras.Input((4, WIDTH))))
    assert found == [((None, 7, 3, 5), "bfloat16"), ((None, 2, 7, 4), "float32")]


def test_additional_axes():
    layer = Holder(layers.DotProductAttention(2, 4, attention_axes=(2,)))
    found = shapes(layer(keras.Input((3, 7, WIDTH))))
    assert found == [((None, 3, 7, WIDTH), "float32")]


def test_what_a_call_does_not_support_is_refused():
    layer = Holder(layers.RetentionAttention(2, 4), return_attention_scores=True)
    with pytest.raises(ValueError, match="no scores of pairs to return"):
        layer(keras.Input((None, WIDTH)))
