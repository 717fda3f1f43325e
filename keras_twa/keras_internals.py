"""What Keras has no public name for; no other module imports `keras.src`.

Keras moves such names from one release to the next, so each is looked for in more than
one place.
"""

import copy
import functools
import importlib
from collections.abc import Mapping
from typing import Any

import keras

PLACES = (
    # Both versions that are known.
    "keras.src.backend.common.masking",
    "keras.src.backend.common.symbolic_scope",
    "keras.src.backend.common.variables",
    "keras.src.backend.common.global_state",
    "keras.src.random.seed_generator",
    "keras.src.utils.tracking",
    "keras.src.backend",  # Keras 3.15 only
    "keras.src.backend.common",  # only the version after it
)


def find(name: str) -> Any:
    """Returns what Keras calls `name`, wherever it is.

    Args:
        name: Name of a function or a class inside `keras.src`.

    Raises:
        ImportError: If it is in none of the known places.
    """
    for module in PLACES:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(
        f"keras_twa does not know where this version of Keras keeps `{name}`; an older "
        f"Keras or a newer keras_twa may. Received: keras {keras.version()}"
    )


AutocastScope = find("AutocastScope")
get_global_attribute = find("get_global_attribute")
get_keras_mask = find("get_keras_mask")
set_keras_mask = find("set_keras_mask")
in_symbolic_scope = find("in_symbolic_scope")
global_seed_generator = find("global_seed_generator")
GLOBAL_SEED_GENERATOR = find("GLOBAL_SEED_GENERATOR")
# Holds the lists of variables and sublayers that are attributes of a layer.
Tracker = find("Tracker")


def attributes(thing: Any) -> dict[str, Any]:
    """Returns the attributes of an object of Keras, for a copy of it.

    The copy is in no graph yet, and a model that is copied is not compiled. On PyTorch,
    Keras makes the list of parameters again that is missing.

    Args:
        thing: A layer, a model, a variable, or anything else with attributes.
    """
    found = dict(vars(thing))
    if isinstance(thing, keras.Operation):
        found |= {"_inbound_nodes": [], "_outbound_nodes": []}
    if isinstance(thing, keras.layers.Layer) and "_modules" in found:
        modules = found["_modules"].items()
        found["_modules"] = {k: x for k, x in modules if k != "_torch_params"}
    if isinstance(thing, keras.Model):
        compiled, never_compiled = _of_training()
        found = {k: x for k, x in found.items() if k not in compiled} | never_compiled
    return found


@functools.cache
def _of_training() -> tuple[set[str], dict[str, Any]]:
    """Attributes of compiled models, and those of others with their values."""
    of_layers = vars(keras.layers.Layer())
    model = keras.Model(name="model")
    before = {k: x for k, x in vars(model).items() if k not in of_layers}
    # It depends on the class, not on `compile`.
    before.pop("_compute_loss_has_training_arg", None)
    model.compile(optimizer=None)
    after = {*vars(model)} - {*of_layers, "_compute_loss_has_training_arg"}
    return after, before


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Returns the arguments that a model was compiled with, as they were given."""
    return dict(model._compile_config.config)


def build_shapes(layer: keras.layers.Layer) -> dict[str, Any]:
    """Returns the shapes that a layer was built with, by argument; `{}` if unknown."""
    return dict(layer._build_shapes_dict or {})


def sublayers(layer: keras.layers.Layer, recursive: bool = False) -> list[Any]:
    """Returns the layers that a layer holds; with `recursive`, also those in them."""
    return layer._flatten_layers(include_self=False, recursive=recursive)


def put_first(layer: keras.layers.Layer, first: list[keras.layers.Layer]) -> None:
    """Lets some sublayers of a layer come before the others, and so their weights."""
    ids = {id(one) for one in first}
    others = [one for one in layer._layers if id(one) not in ids]
    layer._layers[:] = [*first, *others]


def tracker_of(layer: keras.layers.Layer) -> Any:
    """Returns the `Tracker` of a layer."""
    return layer._tracker


def track_instead(tracker: Any, new: Mapping[int, Any]) -> None:
    """Lets a `Tracker` know other things than before.

    Args:
        tracker: The tracker, whose lists hold the new things already.
        new: The new things by the ids of those whose places they took.
    """
    tracker.stored_ids = {
        kind: {id(new[old]) if old in new else old for old in ids}
        for kind, ids in tracker.stored_ids.items()
    }


def copy_value(new: Any, old: Any, memo: dict[int, Any]) -> None:
    """Gives a copy of a variable a buffer of its own, with the same values.

    Args:
        new: The copy.
        old: The variable.
        memo: What has been copied already, as `copy.deepcopy` takes it.
    """
    new._value = copy.deepcopy(old._value, memo)


def input_layer_of(tensor: keras.KerasTensor) -> Any:
    """Returns the layer that a symbolic input comes from."""
    return tensor._keras_history[0]
