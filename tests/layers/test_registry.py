"""Third-party mechanisms are found by name, and invalid ones raise."""

import dataclasses
import json

import keras
import pytest

from keras_twa import layers
from keras_twa.cli import main
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run
from keras_twa.layers.registry import register_from
from keras_twa.registered import CLASSES
from tests.experiments.conftest import own_cache  # noqa: F401
from tests.experiments.tiny import tiny_experiment

pytestmark = pytest.mark.usefixtures("own_registry")


class LastKeyAttention(layers.RecurrentAttention):
    def recur(self, heads, mask, positions, state):
        return heads["value"], state


class CostlyAttention(layers.Attention):
    """Attention that states its cost.

    It computes nothing yet.

    Cost: O(T^3) time.
    """


def test_a_registered_mechanism_is_one_of_them():
    assert layers.register("last_key", LastKeyAttention) is LastKeyAttention
    assert layers.register("last_key", LastKeyAttention) is LastKeyAttention
    assert layers.name_of(LastKeyAttention) == "last_key"
    assert [*layers.mechanisms()][-1] == "last_key"
    assert isinstance(layers.get("last_key", num_heads=1, key_dim=2), LastKeyAttention)
    assert LastKeyAttention not in layers.ATTENTION_LAYERS
    with pytest.raises(ValueError, match="Did you mean 'last_key'"):
        layers.get("LastKeyAttention")


def test_the_mechanisms_are_those_of_the_package():
    names = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS]
    assert layers.mechanisms() == dict(zip(names, layers.ATTENTION_LAYERS, strict=True))
    layers.register("dot_product", layers.DotProductAttention)
    assert CLASSES == {}


def test_a_new_definition_takes_the_place_of_the_old_one():
    def define():
        class AgainAttention(layers.Attention):
            pass

        return AgainAttention

    first, second = define(), define()
    layers.register("again", first)
    assert layers.register("again", second) is second
    assert layers.mechanisms()["again"] is second


@pytest.mark.parametrize("name", ["", "Upper", "two words", "1st", "a.b", "a,b", 3])
def test_bad_names_are_refused(name):
    with pytest.raises(ValueError, match=r"Received: name="):
        layers.register(name, LastKeyAttention)


@pytest.mark.parametrize(
    "thing", [keras.layers.MultiHeadAttention, keras.layers.Layer, int, "last_key", 3]
)
def test_only_attention_is_registered(thing):
    with pytest.raises(ValueError, match=r"subclass of .*Received: layer_class="):
        layers.register("other", thing)


def test_names_and_classes_go_together():
    layers.register("last_key", LastKeyAttention)
    with pytest.raises(ValueError, match=r"is taken by .*LastKeyAttention.*Received: "):
        layers.register("last_key", CostlyAttention)
    with pytest.raises(ValueError, match=r"is taken by .*LinearAttention.*Received: "):
        layers.register("linear", CostlyAttention)
    with pytest.raises(
        ValueError, match=r"already has the name 'last_key'.*Received: "
    ):
        layers.register("last", LastKeyAttention)
    with pytest.raises(ValueError, match=r"already has the name 'linear'.*Received: "):
        layers.register("elu", layers.LinearAttention)


def test_the_command_lists_them(capsys):
    layers.register("last_key", LastKeyAttention)
    layers.register("costly", CostlyAttention)
    assert main(["list"]) == 0
    assert "last_key" in capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    *_, last_key, costly = json.loads(capsys.readouterr().out)["mechanisms"]
    assert (last_key["summary"], last_key["cost"]) == ("", "Not stated.")
    assert costly["computes"] == "It computes nothing yet."
    assert costly["cost"] == "O(T^3) time."


def test_the_command_imports_modules(tmp_path, monkeypatch, capsys):
    (tmp_path / "module_of_theirs.py").write_text(
        "from keras_twa import layers\n"
        "class TheirAttention(layers.Attention): pass\n"
        "layers.register('theirs', TheirAttention)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["list", "--import", "module_of_theirs"]) == 0
    assert "theirs" in capsys.readouterr().out
    assert main(["list", "--import", "no_module_of_theirs"]) == 2
    assert "Received: --import no_module_of_theirs" in capsys.readouterr().err


def test_an_experiment_notes_where_the_class_is():
    assert "defined_in" not in tiny_experiment("linear").to_json()
    layers.register("last_key", LastKeyAttention)
    experiment = tiny_experiment("last_key")
    place = f"{__name__}:LastKeyAttention"
    assert experiment.defined_in == {"last_key": place}
    assert tiny_experiment("[linear, last_key]").defined_in == {"last_key": place}
    CLASSES.clear()
    # As in a process in which it is not registered.
    assert Experiment.from_json(json.loads(json.dumps(experiment.to_json()))) == (
        experiment
    )
    # As earlier versions wrote it.
    earlier = {**experiment.to_json(), "defined_in": place}
    assert Experiment.from_json(earlier) == experiment
    assert register_from("last_key", place) is LastKeyAttention
    assert {"last_key": LastKeyAttention} == CLASSES


@pytest.mark.parametrize("place", ["no_such_module:Name", f"{__name__}:NoSuchName"])
def test_a_class_that_cannot_be_imported_is_named(place):
    with pytest.raises(ValueError, match=rf"'other' cannot.*Received: '{place}'"):
        register_from("other", place)


def test_a_run_says_what_it_cannot_import(tmp_path):
    experiment = dataclasses.replace(
        tiny_experiment("other"), defined_in={"other": "no_such_module:Name"}
    )
    result = run(experiment, tmp_path)
    assert result.status == "failed"
    assert "'other' cannot be imported: No module named 'no_such" in result.reason


@pytest.mark.parametrize("module", ["__main__", __name__])
def test_a_comparison_refuses_what_no_process_can_import(module, tmp_path):
    class HereAttention(layers.Attention):
        pass

    HereAttention.__module__ = module
    if module == "__main__":
        HereAttention.__qualname__ = "HereAttention"
    layers.register("here", HereAttention)
    with pytest.raises(ValueError, match=r"in a module.*Received: attention='here'"):
        Comparison(tmp_path, [tiny_experiment("here")], "torch")
