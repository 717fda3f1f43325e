"""Keras's private names, wherever a version of Keras keeps them."""

import keras
import pytest

from keras_twa import keras_internals

NAMES = ("AutocastScope", "get_keras_mask", "set_keras_mask")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_what_keras_itself_uses(name):
    found = getattr(keras_internals, name)
    assert found.__module__.startswith("keras.src.backend.common.")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_found_where_it_was_before(name, monkeypatch):
    places = "keras.src.gone", "keras.src.backend", "keras.src.backend.common"
    assert {*places[1:]} <= {*keras_internals.PLACES}
    monkeypatch.setattr(keras_internals, "PLACES", places)
    assert keras_internals.find(name) is getattr(keras_internals, name)


def test_a_name_that_is_nowhere_is_told():
    with pytest.raises(
        ImportError, match=rf"`gone`.*Received: keras {keras.version()}"
    ):
        keras_internals.find("gone")


def test_attributes_for_a_copy_leave_out_graphs_and_training():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    found = keras_internals.attributes(model)
    assert not found["compiled"] and found["loss"] is None
    assert "optimizer" not in found and "_torch_params" not in found.get("_modules", {})
    assert found["_compute_loss_has_training_arg"] is not None
    layer = keras_internals.attributes(model.layers[0])
    assert layer["_inbound_nodes"] == [] and layer["units"] == 1
    assert model.layers[0]._inbound_nodes


def test_what_a_model_was_built_and_compiled_with():
    model = keras.Sequential([keras.layers.Dense(1)])
    assert keras_internals.build_shapes(model.layers[0]) == {}
    model.build((None, 2))
    assert keras_internals.build_shapes(model.layers[0]) == {"input_shape": (None, 2)}
    model.compile("sgd", loss := (lambda labels, outputs: outputs))
    assert keras_internals.compile_arguments(model)["loss"] is loss
