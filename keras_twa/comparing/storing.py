"""Writes a model and its rows into a folder that each run of a comparison reads."""

import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_twa import keras_internals
from keras_twa.comparing.custom_objects import custom_objects
from keras_twa.comparing.custom_objects import import_paths
from keras_twa.comparing.custom_objects import importable
from keras_twa.tasks import stored
from keras_twa.tasks.array_rows import Group
from keras_twa.tasks.array_rows import by_path
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import differences
from keras_twa.tasks.fingerprint import hash_of
from keras_twa.tasks.registry import STORED_FOLDER

# Parts of a configuration that differ between two models of the same code.
INCIDENTAL = (
    "name",
    "seed",
    "inbound_nodes",
    "input_layers",
    "output_layers",
    "module",
    "registered_name",
    "build_config",
)


@contextlib.contextmanager
def new_folder(near: Path) -> Iterator[Path]:
    """Gives a new folder, which is removed at the end unless it has been moved.

    Args:
        near: A path on the same disk, which may not exist yet.
    """
    parent = near.absolute()
    while not parent.is_dir():
        parent = parent.parent
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=".keras_twa-"))
    try:
        (folder / stored.ARRAYS).mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_model(folder: Path, model: Any) -> None:
    """Writes a model, without the state of its optimizer.

    Raises:
        ValueError: If Keras cannot save it.
    """
    try:
        model.save(folder / stored.MODEL)
    except Exception as error:  # a model of the user's may raise anything
        raise ValueError(
            "Each variant has a process of its own, for which the model is saved, and "
            f"Keras cannot save it: {error} Received: {_described(model)}"
        ) from error


def compile_config(model: Any) -> tuple[dict[str, Any] | None, Any]:
    """Returns how a model was compiled: the arguments, or the config of its class.

    Args:
        model: The model.

    Returns:
        `(arguments, None)`, or `(None, config)` for a class with a `compile` of its
        own.

    Raises:
        ValueError: If the model is not compiled, or could not be compiled again.
    """
    if not model.compiled or model.optimizer is None:
        raise ValueError(
            "The model must be compiled with an optimizer and a loss: call "
            f"`model.compile(...)` first. Received: {_described(model)}"
        )
    kind = type(model)
    if kind.compile is not keras.Model.compile:
        if kind.compile_from_config is keras.Model.compile_from_config:
            raise ValueError(
                "The class of the model has a `compile` of its own, so it needs "
                "`get_compile_config` and `compile_from_config` too. "
                f"Received: {_described(model)}"
            )
        return None, model.get_compile_config()
    arguments = keras_internals.compile_arguments(model)
    # Batches are trained one by one.
    arguments["steps_per_execution"] = 1
    return arguments, None


def described(model: Any) -> dict[str, Any]:
    """Returns the optimizer and its learning rate, for reports."""
    rate = model.optimizer.get_config().get("learning_rate")
    if isinstance(rate, dict):
        rate = rate.get("class_name", "a schedule")
    elif rate is not None:
        # As it was written, and not as float32 holds it.
        rate = float(f"{rate:.6g}")
    return {"optimizer": type(model.optimizer).__name__, "learning_rate": rate}


def write_objects(
    folder: Path,
    model: Any,
    arguments: dict[str, Any] | None,
    config: Any,
    groups: dict[str, list[tuple[Any, str]]],
) -> list[str]:
    """Writes the custom objects of a model, how it was compiled, and its rows' files.

    Args:
        folder: The folder.
        model: The model.
        arguments: The arguments of `compile`, or `None`.
        config: The config of a class with a `compile` of its own, or `None`.
        groups: For each split, the files of the arrays and of the rows that count.

    Returns:
        The folders from which a process imports what is in modules of the user's.
    """
    import cloudpickle

    custom = custom_objects(model, arguments or {}, config or {})
    by_value = {
        sys.modules[each.__module__]
        for each in custom.values()
        if each.__module__ in sys.modules
        and each.__module__ != "__main__"
        and not importable(sys.modules[each.__module__])
    }
    values = {
        "custom": custom,
        "compile": keras.saving.serialize_keras_object(arguments),
        "compile_config": config,
        "groups": groups,
    }
    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        (folder / stored.OBJECTS).write_bytes(cloudpickle.dumps(values))
    except Exception as error:  # objects of the user's may raise anything
        raise ValueError(
            "Each variant has a process of its own, and the model's classes and "
            f"functions cannot be sent to it: {type(error).__name__}: {error} "
            f"Received: {sorted(custom)}"
        ) from error
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(module)
    return import_paths(custom)


def fingerprint(groups: dict[str, list[Group]]) -> Fingerprint:
    """Returns a text for each split that identifies its rows."""
    found = {}
    for split, those in groups.items():
        arrays = {}
        for number, group in enumerate(those):
            for name, array in by_path(group.arrays).items():
                arrays[f"{number}/{name}"] = array
            arrays[f"{number}/rows"] = group.rows
        count = sum(len(group.rows) for group in those)
        found[split] = f"{count} rows, sha256 {hash_of(arrays)}"
    return found


def identity(model: Any, arguments: Any, config: Any, new_weights: bool) -> str:
    """Returns a text that is the same for the same model, compiled in the same way.

    Args:
        model: The model.
        arguments: The arguments of `compile`, or `None`.
        config: The config of a class with a `compile` of its own, or `None`.
        new_weights: Whether its trained weights have no effect.
    """
    found = hashlib.sha256()
    for part in (model.get_config(), keras.saving.serialize_keras_object(arguments)):
        plain = json.dumps(_without_incidental(part), sort_keys=True, default=repr)
        found.update(plain.encode())
    found.update(repr(_without_incidental(config)).encode())
    weights = model.non_trainable_variables if new_weights else model.variables
    # A generator of random numbers differs each time that a model is created.
    weights = [each for each in weights if "seed" not in each.path.rpartition("/")[2]]
    for variable in weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value))
        found.update(f"{value.shape} {value.dtype}".encode())
        found.update(value.tobytes())
    return found.hexdigest()[:16]


def take_place(new: Path, output: Path) -> None:
    """Moves the folder of a task into that of a comparison, unless it is there already.

    Args:
        new: The folder of the task.
        output: The folder of the comparison, which may not exist yet.

    Raises:
        ValueError: If another task is there.
    """
    place = output / STORED_FOLDER
    if not place.exists():
        output.mkdir(parents=True, exist_ok=True)
        new.rename(place)
        return
    there, here = (
        json.loads((folder / stored.FACTS).read_text("utf-8"))["identity"]
        for folder in (place, new)
    )
    found = differences(there, here)
    if found:
        hint = ""
        if there.get("model") != here.get("model"):
            hint = (
                "The weights of a new model differ unless "
                "`keras.utils.set_random_seed` comes before it. "
            )
        raise ValueError(
            f"The output folder contains another comparison: {'; '.join(found)}. {hint}"
            f"Choose another `output`. Received: output={str(output)!r}"
        )


def _without_incidental(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            str(key): _without_incidental(value)
            for key, value in config.items()
            if key not in INCIDENTAL
        }
    if isinstance(config, (list, tuple)):
        return [_without_incidental(value) for value in config]
    return config


def _described(model: Any) -> str:
    return f"{type(model).__name__} named {model.name!r}"
