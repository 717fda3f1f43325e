"""The mechanisms that other packages registered. It needs no Keras.

`keras_twa.layers.register` writes here. An experiment notes where a mechanism is
defined, so that its run, which has a process of its own, can import it.
"""

from typing import Any

# Classes by name, in the order in which they were registered.
CLASSES: dict[str, type] = {}


def place_of(layer_class: type) -> str:
    """Returns where a class is defined: "module:Name"."""
    return f"{layer_class.__module__}:{layer_class.__qualname__}"


def place_of_name(name: Any) -> str | None:
    """Returns where a registered mechanism is defined, or `None` for our own."""
    found = CLASSES.get(name) if isinstance(name, str) else None
    return None if found is None else place_of(found)
