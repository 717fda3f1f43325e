"""The classes and functions of the user's that a model consists of."""

import importlib.util
import inspect
import sys
from types import FunctionType
from typing import Any

import keras

from keras_twa.experiments.process import import_folder
from keras_twa.keras_internals import sublayers

# Every process that imports Keras and this package has these.
KNOWN = ("keras", "keras_twa", "numpy", "builtins", "tensorflow", "jax", "torch")


def custom_objects(*things: Any) -> dict[str, Any]:
    """Returns the custom classes and functions in Keras objects, by their names.

    Args:
        *things: A model, and whatever else it needs: losses, metrics, optimizers,
            functions, and lists and dictionaries of these.

    Returns:
        A dictionary as `custom_objects` of `keras.saving.load_model`: each object by
        its name, and by the name that it was registered under.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    waiting: list[Any] = list(things)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            waiting += thing.values()
        elif isinstance(thing, (list, tuple, set)):
            waiting += thing
        elif isinstance(thing, (FunctionType, type)):
            _add(found, thing)
        elif hasattr(thing, "get_config"):
            _add(found, type(thing))
            # Initializers, activations and the like are attributes of layers.
            waiting += [
                value
                for value in vars(thing).values()
                if isinstance(value, (FunctionType, type, dict, list, tuple))
                or hasattr(value, "get_config")
            ]
            if isinstance(thing, keras.layers.Layer):
                waiting += sublayers(thing, recursive=True)
    return found


def import_paths(objects: dict[str, Any]) -> list[str]:
    """Returns the folders from which another process can import their modules.

    Args:
        objects: What `custom_objects` returned.
    """
    names = {each.__module__ for each in objects.values()} & {*sys.modules}
    folders = {import_folder(n) for n in names if importable(sys.modules[n])}
    return sorted(filter(None, folders))


def importable(module: Any) -> bool:
    """Returns whether another process can import a module by its name."""
    if module.__name__ == "__main__" or getattr(module, "__file__", None) is None:
        return False
    try:
        spec = importlib.util.find_spec(module.__name__)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == module.__file__


def _add(found: dict[str, Any], thing: Any) -> None:
    module = inspect.getmodule(thing)
    name = getattr(thing, "__module__", None) or (module and module.__name__) or ""
    if name.partition(".")[0] in KNOWN:
        return
    found[thing.__name__] = thing
    found[keras.saving.get_registered_name(thing)] = thing
