"""Attention layers by name."""

import importlib
import re
from typing import Any

import keras

from keras_twa.layers.attention import ATTENTION_LAYERS
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.options import check_options
from keras_twa.layers.options import constructor_options
from keras_twa.mechanism import Mechanism
from keras_twa.mechanism import as_texts
from keras_twa.mechanism import parse
from keras_twa.mechanism import text
from keras_twa.registered import CLASSES
from keras_twa.registered import place_of
from keras_twa.suggestions import close_names

# What each copy of a layer has of its own.
OWN = ("name", "trainable")


def name_of(layer_class):
    """The name of a mechanism.

    It is the name that the class was registered under, or else the class name in snake
    case without "Attention", such as `dot_product`.
    """
    for name, registered in CLASSES.items():
        if registered is layer_class:
            return name
    stem = layer_class.__name__.removesuffix("Attention")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()


def mechanisms():
    """All attention layers by name.

    Returns:
        A dictionary from name to class: the layers of this package, then registered
        ones.
    """
    return {name_of(layer): layer for layer in ATTENTION_LAYERS} | CLASSES


def register(name, layer_class):
    """Adds a mechanism of your own under a name.

    From then on, the name works wherever the name of a mechanism does: in
    `keras_twa.layers.get`, blocks, models, comparisons, searches and commands.

    Each run of a comparison has its own process, which imports the class from the
    module that defines it. So define it in a module, not in a notebook or script.

    Args:
        name: The name: lower-case letters, digits and underscores, starting with a
            letter.
        layer_class: A subclass of `keras_twa.layers.Attention`. The same class may be
            registered again, and so may a new definition of it, as in a notebook.

    Returns:
        The class.

    Raises:
        ValueError: If the name is not valid or belongs to another class, or the class
            is not a subclass of `Attention` or has another name.

    Example:

    >>> import keras_twa.layers
    >>> class FirstKeyAttention(keras_twa.layers.Attention):
    ...     "Attends to the first key."
    >>> first = keras_twa.layers.register("first_key", FirstKeyAttention)
    >>> keras_twa.layers.get("first_key", num_heads=2, key_dim=8).num_heads
    2
    """
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(
            "The name of a mechanism must be lower-case letters, digits and "
            f"underscores, and start with a letter. Received: name={name!r}"
        )
    if not isinstance(layer_class, type) or not issubclass(layer_class, Attention):
        raise ValueError(
            "A mechanism must be a subclass of `keras_twa.layers.Attention`. "
            f"Received: layer_class={layer_class!r}"
        )
    known = mechanisms()
    if name in known and place_of(known[name]) != place_of(layer_class):
        raise ValueError(
            f"The name is taken by `{place_of(known[name])}`. Received: name={name!r}, "
            f"layer_class={layer_class!r}"
        )
    others = {
        other for other, known_class in known.items() if known_class is layer_class
    }
    if others - {name}:
        raise ValueError(
            f"The class already has the name {others.pop()!r}. Received: "
            f"name={name!r}, layer_class={layer_class!r}"
        )
    if layer_class not in ATTENTION_LAYERS:
        CLASSES[name] = layer_class
    return layer_class


def register_from(name, place):
    """Imports a class and registers it, for use in a child process.

    Args:
        name: The name.
        place: Where the class is defined: "module:Name".

    Returns:
        The class.

    Raises:
        ValueError: If it cannot be imported, or the name belongs to another class.
    """
    module, _, qualname = place.partition(":")
    try:
        found = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"The mechanism {name!r} cannot be imported: {error}. It must be defined "
            "in a module that Python finds. "
            f"Received: {place!r}"
        ) from error
    return register(name, found)


def get(identifier, **kwargs):
    """Resolves an attention layer.

    Args:
        identifier: A name such as "dot_product", a text such as "local(window=32)", a
            `Mechanism`, an attention layer class, or a layer, which is returned
            unchanged.
        **kwargs: Constructor arguments, for all but a layer. Options in the text or the
            `Mechanism` replace them.

    Returns:
        A Keras layer.

    Raises:
        ValueError: If the name or an option is unknown; a similar one is suggested.

    Example:

    >>> import keras_twa.layers
    >>> keras_twa.layers.get("gravitational", num_heads=2, key_dim=8).num_heads
    2
    >>> keras_twa.layers.get("local(window=32)", num_heads=2, key_dim=8).window
    32
    """
    if isinstance(identifier, keras.layers.Layer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, keras.layers.Layer):
        return identifier(**kwargs)
    mechanism = identifier
    if isinstance(identifier, str) and "(" in identifier:
        mechanism = Mechanism.parse(identifier)
    elif isinstance(identifier, str) and identifier.isidentifier():
        mechanism = Mechanism(identifier)
    by_name = mechanisms()
    if not isinstance(mechanism, Mechanism) or mechanism.name not in by_name:
        name = getattr(mechanism, "name", identifier)
        close = close_names(str(name), by_name)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"Unknown attention.{hint} The choices are {sorted(by_name)}. "
            f"Received: {identifier!r}"
        )
    layer_class = by_name[mechanism.name]
    check_options(mechanism, layer_class)
    options = constructor_options(mechanism.options)
    return layer_class(**{**kwargs, **options})


def mechanism_of(attention: Any) -> Mechanism | tuple[Mechanism, ...]:
    """Returns the `Mechanism` of whatever may stand for one.

    Args:
        attention: A text, a `Mechanism`, an attention layer or its class, or a list of
            these, with one entry per block.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(attention, Mechanism):
        return attention
    if isinstance(attention, str):
        return parse(attention)
    if isinstance(attention, (list, tuple)) and attention:
        found = [mechanism_of(item) for item in attention]
        if all(isinstance(item, Mechanism) for item in found):
            return tuple(item for item in found if isinstance(item, Mechanism))
    if isinstance(attention, type) and issubclass(attention, keras.layers.Layer):
        return Mechanism(name_of(attention))
    if isinstance(attention, keras.layers.Layer):
        return Mechanism(name_of(type(attention)), _options_of(attention))
    raise ValueError(
        "An attention is a name, a text such as `local(window=32)`, a `Mechanism`, a "
        f"layer, or a list of them with one per block. Received: {attention!r}"
    )


def text_of(attention: Any) -> str:
    """Returns the one text of whatever may stand for a mechanism, or for several."""
    return text(mechanism_of(attention))


def each_block(attention, num_blocks, name="attention"):
    """The attention of each block of a model.

    Args:
        attention: The attention of all blocks: a text, a `Mechanism` or a layer, which
            is then the same one in all of them; or a list with one entry per block, or
            its text.
        num_blocks: Number of blocks.
        name: Name of the argument, for errors.

    Returns:
        A list with one entry per block.

    Raises:
        ValueError: If a list has another number of entries.

    Example:

    >>> import keras_twa.layers
    >>> keras_twa.layers.each_block("[local, retention]", 2)
    ['local', 'retention']
    >>> keras_twa.layers.each_block("local", 2)
    ['local', 'local']
    """
    attention = as_texts(attention)
    if not isinstance(attention, list):
        return [attention] * num_blocks
    if len(attention) != num_blocks:
        raise ValueError(
            f"A list as `{name}` must have one entry per block. Received: "
            f"{len(attention)} entries for {num_blocks} blocks"
        )
    return attention


def _options_of(layer: keras.layers.Layer) -> dict[str, Any]:
    """The arguments of an attention layer that differ from their defaults."""
    config = layer.get_config()
    sizes = {name: config[name] for name in ("num_heads", "key_dim")}
    defaults = type(layer)(**sizes).get_config()
    return sizes | {
        name: value
        for name, value in config.items()
        if name not in OWN and value != defaults.get(name)
    }
