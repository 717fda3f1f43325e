"""Configs and files restore the same layer."""

import inspect
import json

import keras
import numpy as np

from keras_twa.testing import harness
from keras_twa.testing.checks.shared import functional_model
from keras_twa.testing.checks.shared import randomise_model
from keras_twa.testing.checks.shared import small_tokens
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import everything_for


def config_round_trips(case):
    """The config holds every argument and restores the layer, also through JSON."""
    overrides = {
        "dropout": 0.25,
        "seed": 11,
        "kernel_initializer": "he_normal",
        "bias_initializer": "ones",
        "kernel_regularizer": "l2",
        "bias_regularizer": "l1",
        "activity_regularizer": "l2",
        "kernel_constraint": "max_norm",
        "bias_constraint": "non_neg",
        "name": "the_layer",
        "dtype": "mixed_bfloat16",
        "trainable": False,
    }
    if "output_shape" not in case.options:
        overrides["output_shape"] = 4
    if "value_dim" not in case.options:
        overrides["value_dim"] = 5
    if not case.has_pairs:
        overrides["dropout"] = 0.0
    layer = case.make(**overrides)
    config = layer.get_config()
    arguments = inspect.signature(case.layer.__init__).parameters.values()
    names = {a.name for a in arguments if a.kind is a.POSITIONAL_OR_KEYWORD} - {"self"}
    missing = {*names, "name", "dtype", "trainable"} - set(config)
    assert not missing, f"the config lacks {missing}"
    rebuilt = case.layer.from_config(config)
    assert_same_config(rebuilt.get_config(), config)
    for name in ("dropout", "seed", "name", "trainable"):
        assert config[name] == overrides[name], f"{name}: {config[name]}"
    text = json.dumps(keras.saving.serialize_keras_object(case.make(**overrides)))
    loaded = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(loaded) is case.layer, f"JSON gives a {type(loaded)}"
    assert_same_config(loaded.get_config(), config)

    call = everything_for(case)
    original = harness.built(case, call)
    twin = case.layer.from_config(original.get_config())
    shapes = {f"{n}_shape": np.shape(call[n]) for n in harness.TENSORS if n in call}
    twin.build(**shapes)
    harness.copy_weights(original, twin)
    want, got = harness.run(original, call), harness.run(twin, call)
    assert_close(got.output, want.output, "output of the rebuilt layer", 1e-6)


def assert_same_config(actual, expected):
    """Assert that two configs are the same data, lists and tuples alike."""

    def plain(config):
        serialized = keras.saving.serialize_keras_object(config)
        return json.loads(json.dumps(serialized))

    found, wanted = plain(actual), plain(expected)
    names = sorted({*found, *wanted})
    differing = [name for name in names if found.get(name) != wanted.get(name)]
    assert not differing, f"the configs differ in {differing}"


def saves_and_loads(case, folder):
    """A model with the layer gives the same output after saving and loading."""
    model = functional_model(case)
    randomise_model(model)
    path = folder / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    tokens = small_tokens()
    want, got = (harness.to_numpy(m(tokens)) for m in (model, loaded))
    assert_close(got, want, "output of the loaded model", 1e-6)
    layer, again = (m.get_layer("attention") for m in (model, loaded))
    assert type(again) is case.layer, f"the file gives a {type(again)}"
    assert_same_config(again.get_config(), layer.get_config())
    want, got = harness.weights_of(layer), harness.weights_of(again)
    assert set(got) == set(want), f"weights are {set(got)}, not {set(want)}"
    for name, weight in want.items():
        np.testing.assert_array_equal(got[name], weight, name)
    own = not isinstance(case.options.get("temporal_function"), keras.Layer)
    if own:  # the paths inside a layer of the user's are up to the user
        paths = [sorted(v.path for v in x.variables) for x in (layer, again)]
        assert paths[0] == paths[1], "the weights' paths change with every layer"
