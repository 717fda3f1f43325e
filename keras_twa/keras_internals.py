"""What Keras has no public name for; no other module imports `keras.src`.

Keras moves such names from one release to the next, so each is looked for in more than
one place.
"""

import importlib
from typing import Any

import keras

PLACES = (
    # Both versions that are known.
    "keras.src.backend.common.masking",
    "keras.src.backend.common.variables",
    "keras.src.backend.common.global_state",
    "keras.src.random.seed_generator",
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
global_seed_generator = find("global_seed_generator")
GLOBAL_SEED_GENERATOR = find("GLOBAL_SEED_GENERATOR")
