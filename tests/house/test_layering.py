"""Rules of the house that `lint-imports` cannot say."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import keras_twa
from keras_twa import layers

pytestmark = pytest.mark.once

PACKAGE = Path(keras_twa.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
MECHANISM_MODULES = {layer.__module__ for layer in layers.ATTENTION_LAYERS}


def relative(path):
    """Return a path as it reads inside the package."""
    return path.relative_to(PACKAGE).as_posix()


def imported_names(source):
    """Return the dotted names that a source imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def asks_for_backend(source):
    """Whether a source asks Keras which backend runs."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "backend"
        and ast.unparse(node) in ("keras.backend.backend", "keras.config.backend")
        for node in ast.walk(ast.parse(source))
    ) or bool(
        imported_names(source) & {"keras.backend.backend", "keras.config.backend"}
    )


@pytest.mark.parametrize("layer", layers.ATTENTION_LAYERS)
def test_mechanisms_do_not_import_one_another(layer):
    names = imported_names(Path(inspect.getsourcefile(layer)).read_text())
    others = MECHANISM_MODULES - {layer.__module__}
    assert not [name for name in names if name.rpartition(".")[0] in others]


@pytest.mark.parametrize("layer", layers.ATTENTION_LAYERS)
def test_mechanisms_live_in_a_file_of_their_own(layer):
    assert Path(inspect.getsourcefile(layer)).stem == layers.name_of(layer)


@pytest.mark.parametrize("layer", layers.ATTENTION_LAYERS)
def test_mechanisms_are_final(layer):
    derived = [derived.__module__ for derived in layer.__subclasses__()]
    assert not [name for name in derived if name.startswith("keras_twa.")]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_ops_backend_asks_for_the_backend(path):
    if relative(path).startswith("ops/backend/"):
        return
    assert not asks_for_backend(path.read_text(encoding="utf-8"))


def test_the_check_for_the_backend_can_fail():
    assert asks_for_backend("import keras\nif keras.backend.backend() == 'jax': pass")
    assert asks_for_backend("import keras\nname = keras.config.backend()")
    assert asks_for_backend("from keras.config import backend")
    assert not asks_for_backend("from keras_twa.ops import backend\nbackend.NAME")


def uses_inner_keras(source):
    """Whether a source takes something from `keras.src`, which moves it at will."""
    names = imported_names(source)
    names |= {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    names |= {
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
    }
    return any(re.match(r"keras\.src(\.|$)", name) for name in names)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_one_module_takes_what_keras_has_inside(path):
    used = uses_inner_keras(path.read_text(encoding="utf-8"))
    assert used == (relative(path) == "keras_internals.py")


def test_the_check_for_what_keras_has_inside_can_fail():
    assert uses_inner_keras("from keras.src.backend import get_keras_mask")
    assert uses_inner_keras("from keras.src import backend")
    assert uses_inner_keras("from keras import src")
    assert uses_inner_keras("import keras.src.backend as k")
    assert uses_inner_keras("import keras\nkeras.src.backend.get_keras_mask(x)")
    assert uses_inner_keras("importlib.import_module('keras.src.backend')")
    assert not uses_inner_keras('"""As in `keras.src.backend`."""\nimport keras')


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_tensors_are_added_with_a_plus(path):
    # On TensorFlow, keras.ops.add may take the second tensor for the bias of a
    # convolution and add it along another axis, when lengths happen to agree.
    assert "ops.add(" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_ranges_say_where_they_start(path):
    # `ops.arange(n)` calls `jax.numpy.arange(n, None)`, which jax2onnx does not export.
    assert not re.search(r"ops\.arange\([^,]*\)", path.read_text(encoding="utf-8"))
    assert not re.search(r"ops\.arange\([^,]*, dtype", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_are_read_in_one_go(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
