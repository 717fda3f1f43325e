"""What `import keras_twa` does, before and after Keras, with a backend and without."""

import importlib
import os
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_twa
from keras_twa import layers
from keras_twa import models
from keras_twa import saved_classes
from keras_twa import training
from keras_twa.layers.temporal_functions import LearnedTime

BACKEND = keras.backend.backend()
# Python finds no module that is `None` here.
WITHOUT = "import sys\nsys.modules.update(dict.fromkeys({names!r}))\n"
FIRST = [
    pytest.param("import keras, keras_twa", marks=pytest.mark.full),
    "import keras_twa, keras",
    pytest.param("import keras_twa.layers, keras", marks=pytest.mark.full),
]


def python(code, *arguments, missing=(), **environment):
    """Run code in a process of its own, from where some modules are missing."""
    command = [sys.executable, "-c", WITHOUT.format(names=missing) + code, *arguments]
    known = {**os.environ, "KERAS_BACKEND": BACKEND, **environment}
    known = {name: value for name, value in known.items() if value is not None}
    return subprocess.run(command, capture_output=True, text=True, env=known)


def modules():
    """Return the names of all modules but those of other backends."""
    found = pkgutil.walk_packages(keras_twa.__path__, "keras_twa.")
    names = [module.name for module in found]
    return [
        name
        for name in names
        if name != "keras_twa.__main__" and not name.startswith("keras_twa.ops.backend")
    ]


def test_it_alone_imports_no_keras():
    code = "import keras_twa, keras_twa.cli\nprint('keras' in sys.modules, 'numpy' in "
    done = python(code + "sys.modules, keras_twa.__version__)")
    assert done.stdout.split() == ["False", "False", keras_twa.__version__]


def test_packages_are_there_when_used():
    code = "import keras_twa\nfor name in sys.argv[1:]: print(getattr(keras_twa, name))"
    names = [name for name in keras_twa._PACKAGES if name != "tuner"]
    done = python(code, *names)
    found = [line.split("'")[1] for line in done.stdout.splitlines()]
    assert found == [f"keras_twa.{name}" for name in names], done.stderr


def test_common_functions_have_a_short_name():
    assert keras_twa.swap_attention is keras_twa.swapping.swap_attention


def test_packages_are_listed(monkeypatch):
    names = {"layers", "models", "swap_attention", "__version__"}
    assert names <= set(dir(keras_twa))
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    assert "tuner" not in dir(keras_twa)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'layer'"):
        _ = keras_twa.layer


def test_keras_knows_each_class_that_is_registered():
    pytest.importorskip("keras_tuner", reason="one of the packages imports it")
    for name in modules():
        importlib.import_module(name)
    prefix = f"{saved_classes.PACKAGE}>"
    known = keras.saving.get_custom_objects()
    registered = {
        name.removeprefix(prefix): thing
        for name, thing in known.items()
        if name.startswith(prefix) and isinstance(thing, type)
    }
    found = {
        name: getattr(importlib.import_module(module), name)
        for module, names in saved_classes.CLASSES.items()
        for name in names
    }
    assert found == registered


def test_imported_classes_keep_their_place():
    saved_classes.register()
    found = keras.saving.get_registered_object("keras_twa>RetentionAttention")
    assert found is layers.RetentionAttention


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return two saved models, which name classes of each package, and outputs."""
    folder = tmp_path_factory.mktemp("saved")
    language = models.CausalLM(9, attention="retention", embedding_dim=8, num_layers=1)
    schedule = training.WarmupInverseSquareRoot(1e-3, 10)
    language.compile(
        keras.optimizers.Adam(schedule),
        training.MaskedCrossentropy(),
        metrics=[training.MaskedAccuracy(), training.Perplexity()],
    )
    tokens = np.array([[1, 2, 3, 4]])
    language.fit(tokens, tokens, verbose=0)
    timed = layers.TemporalWeightedAttention(2, 4, temporal_function=LearnedTime(2))
    events = keras.Sequential(
        [
            keras.Input((4, 8)),
            layers.SinusoidalPositions(),
            layers.TransformerEncoder(16, 2, attention=timed),
            layers.DotProductAttention(2, 4, positions=layers.T5Positions()),
        ]
    )
    x = np.ones((1, 4, 8), "float32")
    for name, model, inputs in (("language", language, tokens), ("events", events, x)):
        model.save(folder / f"{name}.keras")
        outputs = model.predict(inputs, verbose=0)
        np.savez(folder / f"{name}.npz", inputs=inputs, outputs=outputs)
    return folder


@pytest.mark.parametrize("first", FIRST)
def test_saved_models_load(saved, first):
    code = f"""{first}
import numpy as np
for name in ("language", "events"):
    model = keras.saving.load_model(f"{{sys.argv[1]}}/{{name}}.keras")
    with np.load(f"{{sys.argv[1]}}/{{name}}.npz") as arrays:
        found = model.predict(arrays["inputs"], verbose=0)
        np.testing.assert_allclose(found, arrays["outputs"], atol=1e-5)
"""
    done = python(code, str(saved))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("asked", "missing", "parts"),
    [
        ("torch", ("torch",), ["keras-twa[torch]", "KERAS_BACKEND=torch"]),
        (
            "jax",
            ("jax", "torch"),
            ["keras-twa[jax]", "Installed backends: tensorflow."],
        ),
        ("jax", ("jax", "torch", "tensorflow"), ["Installed backends: none."]),
        ("JAX", (), ["not on JAX", "set KERAS_BACKEND to one of them"]),
        ("other", ("jax",), ["not on other", "keras-twa[jax]", "KERAS_BACKEND=other"]),
        (None, ("tensorflow",), ["keras-twa[tensorflow]", "KERAS_BACKEND is not set"]),
    ],
)
def test_a_missing_backend_is_named(asked, missing, parts, tmp_path):
    settings = {"KERAS_BACKEND": asked, "KERAS_HOME": str(tmp_path)}
    done = python("import keras_twa.layers", missing=missing, **settings)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert [part for part in parts if part not in last] == []


@pytest.mark.parametrize(
    "code",
    [
        "import keras_twa\nkeras_twa.training",
        "from keras_twa import masks",
        "import keras_twa.datasets\nimport keras",
    ],
)
def test_it_is_named_wherever_keras_is_needed(code):
    done = python(code, missing=("torch",), KERAS_BACKEND="torch")
    assert "keras-twa[torch]" in done.stderr.strip().splitlines()[-1]


def test_a_backend_that_only_keras_has_is_refused(tmp_path):
    pytest.importorskip("jax", reason="Keras computes with it on NumPy")
    done = python("import keras_twa.layers", KERAS_BACKEND="numpy")
    assert "not on numpy. Installed backends: " in done.stderr
    code = "import keras, keras_twa\nprint(keras_twa.datasets.listops.__name__)"
    done = python(code, KERAS_BACKEND="numpy")
    assert done.stdout.strip() == "keras_twa.datasets.listops", done.stderr


def test_a_second_try_says_the_same(tmp_path):
    code = """for _ in range(2):
    try:
        import keras_twa.layers
    except ImportError as error:
        print(error)
"""
    done = python(code, missing=("torch",), KERAS_BACKEND="torch")
    first, second = done.stdout.splitlines()
    assert first == second
    assert "keras-twa[torch]" in first


def test_keras_json_chooses_too(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    settings = {"KERAS_BACKEND": None, "KERAS_HOME": str(tmp_path)}
    done = python("import keras_twa.layers", missing=("torch",), **settings)
    assert f"{tmp_path / 'keras.json'} says torch" in done.stderr


@pytest.mark.parametrize("arguments", [["list"], ["compare", "--task", "listops"]])
def test_the_command_names_a_missing_backend_in_one_line(arguments):
    code = "from keras_twa.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = python(code, *arguments, missing=("torch",), KERAS_BACKEND="torch")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "keras-twa[torch]" in line


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_needs_no_backend_to_tell_of_itself(option):
    names = ("keras", "jax", "tensorflow", "torch")
    code = "from keras_twa.cli import main\nmain(sys.argv[1:])"
    done = python(code, option, missing=names)
    assert done.returncode == 0, done.stderr
    assert "keras-twa" in done.stdout


def test_the_command_prints_its_version():
    command = [sys.executable, "-m", "keras_twa", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == f"keras-twa {keras_twa.__version__}\n"
