"""Heatmaps show the weights that the layers themselves return."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa.models import EncoderClassifier
from keras_twa.models import SegmentLanguageModel
from keras_twa.ops import backend
from keras_twa.testing import harness
from keras_twa.visualization import attention_heatmaps
from keras_twa.visualization import heatmaps
from keras_twa.visualization.recording import attention_layers
from tests.few import a_few

TOKENS = np.array([[3, 1, 4, 1, 5], [2, 6, 5, 0, 0]], "int32")
ROWS = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")


def classifier(attention="temporal_weighted", **options):
    options = {"embedding_dim": 8, "num_heads": 2, "intermediate_dim": 8, **options}
    model = EncoderClassifier(9, 3, attention, **options)
    model(TOKENS)
    return model


def shown(figure):
    """Return the weights of all heatmaps, NaN where there is no cell."""
    images = [axes.images[0].get_array() for axes in figure.axes]
    return [np.ma.filled(image, np.nan) for image in images]


def blank(weights):
    """Return weights, NaN instead of 0."""
    return np.where(weights == 0, np.nan, weights)


def scores_of(layer, *inputs, **call):
    _, scores = layer(*inputs, return_attention_scores=True, **call)
    return harness.to_numpy(scores)


class Wrapped(keras.Model):
    """A model that does something with an attention layer."""

    def __init__(self, function):
        super().__init__()
        self.attention = layers.DotProductAttention(1, 4)
        self.function = function

    def build(self, shape):
        self.attention.build(shape)

    def call(self, inputs):
        return self.function(self.attention)(inputs)


class Nested(keras.Model):
    """A model of one's own, with a layer that it calls twice."""

    def __init__(self):
        super().__init__()
        self.attention = layers.DotProductAttention(2, 4, name="shared")
        self.parts = [keras.Sequential([layers.GravitationalAttention(1, 4)])]

    def call(self, inputs):
        x = self.attention(inputs["x"], inputs["x"], use_causal_mask=True)
        return self.parts[0](self.attention(x, inputs["x"]))


@pytest.mark.parametrize(
    "name", a_few(["temporal_weighted", "local", "multi_timescale"])
)
def test_a_classifier_shows_its_own_scores(name):
    model = classifier(name)
    expected = model.attention_scores(TOKENS)
    found = shown(attention_heatmaps(model, TOKENS, example=1))
    expected = [head for scores in expected for head in scores[1]]
    assert len(found) == len(expected)
    for image, head in zip(found, expected, strict=True):
        np.testing.assert_allclose(image, blank(head), rtol=1e-5)
        # Two steps are padding: no row, no column.
        assert np.isnan(image[3:]).all() and np.isnan(image[:, 3:]).all()
        assert not np.isnan(image[:3, :3]).all()


def test_a_functional_model_with_masks_and_two_inputs():
    rows, times = keras.Input((5, 6)), keras.Input((5,))
    attend = layers.TemporalWeightedAttention(2, 4, time_scale=2.0, name="attend")
    masked = keras.layers.Masking()(rows)
    outputs = attend(masked, masked, query_positions=times, use_causal_mask=True)
    model = keras.Model([rows, times], outputs)
    x, seconds = ROWS.copy(), np.arange(10.0).reshape(2, 5).astype("float32")
    x[1, 3:] = 0
    found = shown(attention_heatmaps(model, [x, seconds], example=1))
    real = np.arange(5)[None] < [[5], [3]]
    expected = scores_of(
        attend,
        x,
        x,
        query_mask=real,
        value_mask=real,
        query_positions=seconds,
        use_causal_mask=True,
    )
    for image, head in zip(found, expected[1], strict=True):
        np.testing.assert_allclose(image, blank(head), rtol=1e-5)


def test_a_model_of_ones_own_with_a_shared_layer():
    model = Nested()
    model({"x": ROWS})
    figure = attention_heatmaps(model, {"x": ROWS})
    expected = scores_of(model.attention, ROWS, ROWS, use_causal_mask=True)
    for image, head in zip(shown(figure), expected[0], strict=False):
        np.testing.assert_allclose(image, blank(head), rtol=1e-5)
    # Two calls of two heads, and one head.
    assert len(figure.axes) == 5
    assert figure.axes[4].get_ylabel().startswith(model.parts[0].layers[0].path)


def test_a_layer_by_itself():
    layer = layers.DotProductAttention(2, 4)
    layer(ROWS)
    (image,) = shown(attention_heatmaps(layer, ROWS, heads=[1]))
    np.testing.assert_allclose(image, scores_of(layer, ROWS)[0, 1], rtol=1e-5)


def test_a_model_with_a_memory_sees_what_it_remembers():
    model = SegmentLanguageModel(
        9, "local", num_layers=1, embedding_dim=8, num_heads=1, intermediate_dim=8
    )
    model(TOKENS[:, :3])
    (image,) = shown(attention_heatmaps(model, TOKENS[:, 3:]))
    # The window of 128 steps holds 127 before the two of this call.
    assert image.shape == (2, 129)
    assert np.isfinite(image[0, 124:128]).all() and np.isnan(image[0, :124]).all()


def test_layers_and_heads_can_be_chosen():
    model = classifier(num_layers=3)
    expected = model.attention_scores(TOKENS)
    for chosen in ([2], "block_2", ["block_2/attention"]):
        (image,) = shown(attention_heatmaps(model, TOKENS, chosen, heads=[1]))
        np.testing.assert_allclose(image, expected[2][0, 1], rtol=1e-5)
    assert len(attention_heatmaps(model, TOKENS, [0, 2]).axes) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "block_7"}, "block_7"),
        ({"layers": [2]}, "Received: 2"),
        ({"layers": [-1]}, "Received: -1"),
        ({"layers": []}, r"Received: layers=\[\]"),
        ({"heads": [2]}, r"Received: heads=\[2\]"),
        ({"heads": []}, r"Received: heads=\[\]"),
        ({"example": 2}, "Received: example=2"),
        ({"example": -1}, "Received: example=-1"),
    ],
)
def test_what_is_not_there_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        attention_heatmaps(classifier(num_layers=2), TOKENS, **options)


@pytest.mark.parametrize("numbers", [{"heads": 1}, {"heads": np.array([1])}])
def test_numbers_may_be_one_or_numpys(numbers):
    options = {"layers": np.int64(0), "example": np.int64(1), **numbers}
    model = classifier()
    expected = model.attention_scores(TOKENS)[0][1, 1]
    (image,) = shown(attention_heatmaps(model, TOKENS, **options))
    np.testing.assert_allclose(image, blank(expected), rtol=1e-5)


@pytest.mark.parametrize("layer_class", a_few(layers.ATTENTION_LAYERS, layers.name_of))
def test_any_mechanism_may_stand_beside_the_one_that_is_drawn(layer_class):
    model = keras.Sequential(
        [
            keras.Input((5, 6)),
            layer_class(2, 4, name="other"),
            layers.DotProductAttention(1, 4, name="drawn"),
        ]
    )
    assert len(attention_heatmaps(model, ROWS, "drawn").axes) == 1
    if layer_class.pairwise_mask:
        assert attention_heatmaps(model, ROWS, "other").axes
    else:
        with pytest.raises(ValueError, match=f"Received: {layer_class.__name__} among"):
            attention_heatmaps(model, ROWS, "other")


def test_colours_show_the_signs_of_weights():
    model = keras.Sequential(
        [keras.Input((5, 6)), layers.DifferentialAttention(1, 4, name="drawn")]
    )
    harness.randomise(model)
    ((image,),) = (axes.images for axes in attention_heatmaps(model, ROWS).axes)
    low, high = image.get_clim()
    assert low == -high
    assert image.get_array().min() < 0


@pytest.mark.parametrize(
    "model",
    [
        keras.Sequential([keras.Input((5, 6)), keras.layers.Dense(3)]),
        keras.Sequential([layers.DotProductAttention(1, 4)]),
    ],
    ids=["no attention", "not built"],
)
def test_a_model_that_does_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="attention layer of keras_twa"):
        attention_heatmaps(model, ROWS)


def test_layers_are_as_they_were():
    model = classifier()
    before = harness.to_numpy(model(TOKENS))
    attributes = [set(vars(layer)) for layer in attention_layers(model)]
    attention_heatmaps(model, TOKENS)
    assert [set(vars(layer)) for layer in attention_layers(model)] == attributes
    np.testing.assert_array_equal(harness.to_numpy(model(TOKENS)), before)


def test_layers_are_as_they_were_after_an_error():
    def failing(layer):
        layer(ROWS)
        raise RuntimeError("out of order")

    model = Wrapped(failing)
    model.build(ROWS.shape)
    attributes = set(vars(model.attention))
    with pytest.raises(RuntimeError, match="out of order"):
        attention_heatmaps(model, ROWS)
    assert set(vars(model.attention)) == attributes


def compiled(layer):
    """Return the layer as a function that the backend compiles."""
    if backend.NAME == "jax":
        return __import__("jax").jit(layer)
    return __import__("tensorflow").function(layer)


@pytest.mark.skipif(backend.NAME == "torch", reason="eager PyTorch traces nothing")
def test_a_compiled_call_is_refused():
    model = Wrapped(compiled)
    model.build(ROWS.shape)
    with pytest.raises(ValueError, match="eager calls only"):
        attention_heatmaps(model, ROWS)


def test_long_sequences_are_made_smaller(monkeypatch):
    monkeypatch.setattr(heatmaps, "MOST_CELLS", 2)
    layer = layers.DotProductAttention(1, 4)
    layer(ROWS)
    (image,) = shown(attention_heatmaps(layer, ROWS))
    weights = scores_of(layer, ROWS)[0, 0]
    # Five steps, three a cell: sums over keys, means over queries.
    by_hand = [
        [
            weights[rows][:, columns].sum(axis=1).mean()
            for columns in (slice(3), slice(3, 5))
        ]
        for rows in (slice(3), slice(3, 5))
    ]
    np.testing.assert_allclose(image, by_hand, rtol=1e-5)
    np.testing.assert_allclose(image.sum(axis=1), 1, rtol=1e-5)
