"""Attention layers by name."""

import re

import keras

from keras_twa.layers.attention import ATTENTION_LAYERS
from keras_twa.suggestions import close_names


def name_of(layer_class):
    """The class name in snake case without "Attention": `dot_product`."""
    stem = layer_class.__name__.removesuffix("Attention")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()


def get(identifier, **kwargs):
    """Resolves an attention layer.

    Args:
        identifier: A name such as "dot_product", an attention layer class, or a
            layer, which comes back as it is.
        **kwargs: Constructor arguments, for a name or a class.

    Returns:
        A Keras layer.

    Raises:
        ValueError: If the name is unknown; names close to it are suggested.

    Example:

    >>> import keras_twa.layers
    >>> keras_twa.layers.get("gravitational", num_heads=2, key_dim=8).num_heads
    2
    """
    if isinstance(identifier, keras.layers.Layer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, keras.layers.Layer):
        return identifier(**kwargs)
    by_name = {name_of(layer): layer for layer in ATTENTION_LAYERS}
    if not isinstance(identifier, str) or identifier not in by_name:
        close = close_names(str(identifier), by_name)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"Unknown attention.{hint} The choices are {sorted(by_name)}. "
            f"Received: {identifier!r}"
        )
    return by_name[identifier](**kwargs)
