"""The options of a mechanism, as its layer's constructor takes them."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from keras_twa.mechanism import Mechanism
from keras_twa.suggestions import close_names


def check_options(mechanism: Mechanism, layer_class: type) -> None:
    """Checks that a layer's constructor takes the options.

    Raises:
        ValueError: If it does not; a similar name is suggested.
    """
    known = _arguments(layer_class)
    for name in mechanism.options:
        if name not in known:
            close = close_names(name, known)
            hint = f" Did you mean `{close[0]}`?" if close else ""
            raise ValueError(
                f"`{mechanism.name}` has no option `{name}`.{hint} Its options are "
                f"{', '.join(known)}. Received: {mechanism}"
            )


def constructor_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options as a constructor takes them: serialized objects as objects."""
    return {
        name: keras.saving.deserialize_keras_object(dict(value))
        if isinstance(value, Mapping) and "class_name" in value
        else value
        for name, value in options.items()
    }


def _arguments(layer_class: type) -> list[str]:
    """Names of the constructor's arguments, its own first."""
    found: dict[str, None] = {}
    for base in layer_class.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        named = [each.name for each in parameters if each.kind not in variable]
        found |= dict.fromkeys(named[1:])
        if base is keras.layers.Layer:
            break
    return list(found)
