"""Every public class says what it needs to, and every example runs."""

import doctest
import importlib
import inspect
import pkgutil
import textwrap

import keras
import pytest

import keras_twa
from keras_twa import layers
from keras_twa import models

PUBLIC = [
    getattr(package, name)
    for package in (layers, models)
    for name in package.__all__
    if inspect.isclass(getattr(package, name))
]
# What mechanisms are made of. The arguments of all calls stand in each mechanism.
BASES = (
    layers.Attention,
    layers.Curves,
    layers.InputMemory,
    layers.KeyValueCache,
    layers.Mechanism,
    layers.PairAttention,
    layers.Pairs,
    layers.Projection,
    layers.RecurrentAttention,
    layers.RecurrentState,
    layers.Slot,
    layers.WindowCache,
)
PUBLIC = [public for public in PUBLIC if public not in BASES]
BACKENDS = ("jax", "tensorflow", "torch")


def module_names():
    """Return all modules of the package, but for the backends that do not run."""
    others = {f"keras_twa.ops.backend.{name}" for name in BACKENDS}
    others.discard(f"keras_twa.ops.backend.{keras.backend.backend()}")
    found = pkgutil.walk_packages(keras_twa.__path__, "keras_twa.")
    return [m.name for m in found if m.name not in others and "__main__" not in m.name]


@pytest.mark.usefixtures("own_registry")
@pytest.mark.full
@pytest.mark.parametrize("name", module_names())
def test_examples_run(name):
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags).failed == 0


@pytest.mark.parametrize("public", PUBLIC)
@pytest.mark.parametrize(
    "section", ["Args:", "Call arguments:", "Returns:", "Raises:", "Example:", ">>> "]
)
def test_public_classes_are_documented(public, section):
    assert section in inspect.getdoc(public)


@pytest.mark.parametrize("public", PUBLIC)
def test_public_classes_name_their_source(public):
    assert "Reference:" in inspect.getdoc(public)


@pytest.mark.parametrize("public", PUBLIC)
def test_every_argument_is_documented(public):
    documented = inspect.getdoc(public)
    named = [
        name
        for method in (public.__init__, getattr(public, "call", public.__call__))
        for name, argument in inspect.signature(method).parameters.items()
        if name != "self" and argument.kind is not argument.VAR_KEYWORD
    ]
    assert [name for name in named if f"\n    {name}: " not in documented] == []


@pytest.mark.parametrize("mechanism", layers.ATTENTION_LAYERS)
def test_docstrings_of_mechanisms_have_what_all_share(mechanism):
    documented = inspect.getdoc(mechanism)
    shared = inspect.signature(layers.Attention.__init__).parameters
    names = [name for name in shared if name not in ("self", "kwargs")]
    assert [name for name in names if f"\n    {name}: " not in documented] == []
    source = textwrap.dedent(inspect.getsource(mechanism)).partition("def __init__")[0]
    assert "output_shape: " not in source


@pytest.mark.parametrize("base", BASES)
def test_base_classes_are_documented(base):
    assert base.__doc__


def test_layers_and_models_export_what_they_define():
    assert set(layers.ATTENTION_LAYERS) <= set(PUBLIC)
