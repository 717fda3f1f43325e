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
