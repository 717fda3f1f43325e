"""What a search may choose is what the layers take."""

import inspect
import itertools
import json

import keras_tuner
import pytest

from keras_twa import layers
from keras_twa.experiments.config import Experiment
from keras_twa.tuner.space import chosen
from keras_twa.tuner.space import chosen_options
from keras_twa.tuner.space import declare
from keras_twa.tuner.space import search_space
from tests.experiments.tiny import tiny_experiment

BY_NAME = {layers.name_of(layer): layer for layer in layers.ATTENTION_LAYERS}
OPTIONS = {name: search_space(name) for name in BY_NAME if search_space(name)}
SETTINGS = tiny_experiment().settings


def declared(attention, **values):
    hp = keras_tuner.HyperParameters()
    hp.values.update({"attention": attention, **values})
    declare(hp, tuple(BY_NAME), SETTINGS)
    return hp


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_those_of_the_layer(name):
    arguments = inspect.signature(BY_NAME[name].__init__).parameters
    for option, (default, *others) in OPTIONS[name].items():
        assert arguments[option].default == default
        assert others and default not in others


@pytest.mark.parametrize("name", OPTIONS)
def test_options_go_together(name):
    for values in itertools.product(*OPTIONS[name].values()):
        options = dict(zip(OPTIONS[name], values, strict=True))
        layer = layers.get(name, num_heads=2, key_dim=4, **options)
        assert isinstance(layer, BY_NAME[name])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mechanism_has_its_own_options_only(name):
    hp = declared(name)
    own = {key for key in hp.values if "." in key}
    assert own == {f"{name}.{option}" for option in OPTIONS.get(name, {})}
    assert chosen_options(hp, name) == {}


def test_a_choice_comes_back_as_it_was():
    hp = declared(
        "multi_timescale",
        **{
            "multi_timescale.discounts": "(0.9, 0.99)",
            "multi_timescale.trainable_discounts": "True",
        },
    )
    assert chosen_options(hp, "multi_timescale") == {
        "discounts": (0.9, 0.99),
        "trainable_discounts": True,
    }
    hp = declared("performer", **{"performer.num_features": "32"})
    assert chosen_options(hp, "performer") == {"num_features": 32}


def test_a_configuration_is_plain_data():
    attention = "multi_timescale(discounts=[0.9, 0.99])"
    plain = chosen(Experiment("listops", attention, settings=SETTINGS))
    assert json.loads(json.dumps(plain)) == plain
    assert plain["attention"] == attention


def test_the_defaults_are_the_settings():
    values = declared("dot_product").values
    for name in ("num_layers", "dropout", "learning_rate", "batch_size"):
        assert values[name] == getattr(SETTINGS, name)
