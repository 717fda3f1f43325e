"""Every kind of model gets other attention, and the given one stays the same."""

import keras
import numpy as np
import pytest

import keras_twa
from keras_twa import layers
from keras_twa.layers.temporal_functions import TEMPORAL_FUNCTIONS
from keras_twa.swapping.places import attention_layers
from tests.few import a_few
from tests.swapping import models

KINDS = [
    pytest.param(kind, marks=() if kind in ("functional", "subclassed") else full)
    for full in (pytest.mark.full,)
    for kind in models.KINDS
]


def classes(model):
    return {type(layer) for layer in attention_layers(model)}


@pytest.mark.parametrize("kind", KINDS)
def test_dot_product_and_back_to_keras_compute_the_same(kind):
    model = models.fitted(models.KINDS[kind]())
    before, weights = models.outputs(model), models.values(model)
    swapped = keras_twa.swap_attention(model, "dot_product")
    assert classes(swapped) == {layers.DotProductAttention}
    np.testing.assert_allclose(models.outputs(swapped), before, atol=1e-5)
    # Training either does not touch the other. JAX deletes the buffers it is given.
    swapped.fit(models.ROWS, models.LABELS, verbose=0)
    np.testing.assert_array_equal(models.outputs(model), before)
    for one, other in zip(models.values(model), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    after = models.outputs(swapped)
    model.fit(models.ROWS, models.LABELS, verbose=0)
    np.testing.assert_array_equal(models.outputs(swapped), after)
    back = keras_twa.swap_attention(swapped, keras.layers.MultiHeadAttention)
    assert classes(back) == {keras.layers.MultiHeadAttention}
    np.testing.assert_allclose(models.outputs(back), after, atol=1e-5)
    back.fit(models.ROWS, models.LABELS, verbose=0)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_and_weights_are_those_of_a_model_made_so(kind):
    model = models.KINDS[kind]()
    swapped = keras_twa.swap_attention(model, "dot_product")
    assert isinstance(swapped, type(model)) and swapped.name == model.name
    assert not swapped.compiled
    assert swapped.count_params() == model.count_params()
    assert [x.name for x in swapped.layers] == [x.name for x in model.layers]
    paths = [{x.path for x in each.weights} for each in (model, swapped)]
    assert paths[0] == paths[1]
    shared = {id(x) for x in model.weights} & {id(x) for x in swapped.weights}
    assert not shared
    assert not {id(x) for x in model._flatten_layers()} & {
        id(x) for x in swapped._flatten_layers()
    }


def sharp(model):
    """Return the model with large weights, so that `W` = 0.98 would be noticed."""
    model.set_weights([4 * weight for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_temporal_weights_start_with_the_old_outputs(kind):
    model = models.KINDS[kind]()
    before = models.outputs(model)
    swapped = keras_twa.swap_attention(model, "temporal_weighted")
    largest = np.abs(before).max()
    np.testing.assert_allclose(models.outputs(swapped), before, atol=1e-5 * largest)


@pytest.mark.parametrize("function", a_few(TEMPORAL_FUNCTIONS, always=("gated",)))
@pytest.mark.parametrize("applies_to", ["key", "lag"])
def test_all_functions_of_time_start_with_the_old_outputs(function, applies_to):
    model = sharp(models.small())
    options = {"temporal_function": function, "applies_to": applies_to}
    swapped = keras_twa.swap_attention(model, "temporal_weighted", **options)
    before = models.outputs(model)
    largest = np.abs(before).max()
    np.testing.assert_allclose(models.outputs(swapped), before, atol=1e-5 * largest)


def test_a_single_sigmoid_starts_near_the_old_outputs():
    model = sharp(models.small())
    before = models.outputs(model)
    swapped = keras_twa.swap_attention(model, "temporal_weighted", weighting="sigmoid")
    change = np.abs(models.outputs(swapped) - before).max() / np.abs(before).max()
    assert 1e-4 < change < 0.05


@pytest.mark.parametrize("name", a_few(layers.mechanisms()))
def test_every_mechanism_trains(name):
    model = models.compiled(models.small(dropout=0.1), graph=True)
    swapped = keras_twa.swap_attention(model, name)
    assert classes(swapped) == {layers.mechanisms()[name]}
    assert [entry.new for entry in swapped.swap_report] == [name]
    history = swapped.fit(models.PADDED, models.LABELS, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    back = keras_twa.swap_attention(swapped, "dot_product")
    assert np.isfinite(models.outputs(back)).all()


def test_a_shared_layer_stays_shared():
    swapped = keras_twa.swap_attention(models.functional(), "dot_product")
    assert len(swapped.get_layer("shared")._inbound_nodes) == 2


def test_a_variable_of_two_layers_stays_common():
    model = models.subclassed()
    model.head_again = model.head
    swapped = keras_twa.swap_attention(model, "dot_product")
    assert swapped.head_again is swapped.head is not model.head


def test_flags_and_policies_stay():
    model = models.small()
    attention = model.get_layer("attention")
    attention.trainable = False
    swapped = keras_twa.swap_attention(model, "temporal_weighted")
    new = swapped.get_layer("attention")
    assert not new.trainable and not new.trainable_weights
    assert len(swapped.trainable_weights) == len(model.trainable_weights)


def test_mixed_precision():
    policy = "mixed_bfloat16"
    keras.config.set_dtype_policy(policy)
    model = models.small()
    swapped = keras_twa.swap_attention(model, "dot_product")
    assert swapped.get_layer("attention").dtype_policy.name == policy
    got, want = (models.outputs(each).astype("float32") for each in (swapped, model))
    np.testing.assert_allclose(got, want, atol=0.05)


def test_a_model_that_is_not_built():
    model = models.Subclassed()
    swapped = keras_twa.swap_attention(model, "temporal_weighted", where="*attention*")
    assert not swapped.built and not swapped.swap_report[0].kept
    assert "not built" in str(swapped.swap_report)
    models.compiled(swapped).fit(models.ROWS, models.LABELS, verbose=0)
    assert type(swapped.attention) is layers.TemporalWeightedAttention


def test_models_of_this_package_name_their_attention():
    model = keras_twa.models.EncoderClassifier(
        9, 3, embedding_dim=8, num_heads=2, num_layers=2, intermediate_dim=8
    )
    model(models.PADDED)
    swapped = keras_twa.swap_attention(model, "retention")
    again = type(swapped).from_config(swapped.get_config())
    again.build(models.PADDED.shape)
    again.set_weights(swapped.get_weights())
    np.testing.assert_allclose(
        models.outputs(again, models.PADDED), models.outputs(swapped, models.PADDED)
    )
    assert model.get_config()["attention"] == "dot_product"
    block = swapped.blocks[0]
    assert block.attention is block.attention_layer


def test_positions_inside_stay_where_they_are_supported():
    model = keras_twa.models.EncoderClassifier(
        9, 3, embedding_dim=8, num_heads=2, num_layers=1, positions="t5"
    )
    before = models.outputs(model, models.PADDED)
    swapped = keras_twa.swap_attention(model, "dot_product")
    np.testing.assert_allclose(
        models.outputs(swapped, models.PADDED), before, atol=1e-6
    )
    assert "positions/" in " ".join(swapped.swap_report[0].kept)
    lost = keras_twa.swap_attention(model, "retention")
    assert "positions" in str(lost.swap_report)


def test_a_stateful_model_is_refused():
    model = keras_twa.models.SegmentLanguageModel(
        9, embedding_dim=8, num_heads=2, num_layers=1, intermediate_dim=8
    )
    model.build((2, 4))
    with pytest.raises(ValueError, match=r"stateful.*Received: SegmentLanguageModel"):
        keras_twa.swap_attention(model, "local")


def test_layers_in_functions_and_plain_objects_are_copied():
    class Helper:
        def __init__(self, layer):
            self.layers = [layer]

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.attention = models.attention("attention")
            self.dense = keras.layers.Dense(models.WIDTH)
            self.attend = lambda x: self.attention(x, x)
            self.method = self.project
            self.helper = Helper(self.dense)

        def project(self, x):
            return self.dense(x)

        def call(self, x):
            return self.method(self.attend(x)) + self.helper.layers[0](x)

    model = Model()
    x = np.random.default_rng(0).normal(size=(2, 5, models.WIDTH)).astype("float32")
    want = models.outputs(model, x)
    swapped = keras_twa.swap_attention(model, "dot_product")
    np.testing.assert_allclose(models.outputs(swapped, x), want, atol=1e-5)
    assert "not called" not in str(swapped.swap_report)
    for variable in model.weights:
        variable.assign(variable * 0)
    np.testing.assert_allclose(models.outputs(swapped, x), want, atol=1e-5)
