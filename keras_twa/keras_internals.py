"""What Keras has no public name for; no other module imports `keras.src`.

Keras moves such names from one release to the next, so each is looked for in more than
one place.
"""

import functools
import importlib
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
