"""Texts of mechanisms in saved configurations, where defaults have changed since.

A text such as `local` leaves out options that are at their defaults. If a default
changes, texts that were saved before must keep the former one. So new configurations
name the options of `former_defaults`, and a text that does not is an old one.
"""

import inspect

from keras_twa.layers.registry import mechanisms
from keras_twa.mechanism import Mechanism


def to_save(attention):
    """Texts that name all options whose defaults have changed.

    Args:
        attention: A text, a layer, its description, or a list of these. Only texts
            change.

    Returns:
        The same, with other texts.
    """

    def default(layer_class, option):
        return inspect.signature(layer_class.__init__).parameters[option].default

    return _completed(attention, default)


def as_saved(attention):
    """Texts with the options that they meant when they were saved.

    Args:
        attention: What a configuration has: a text, the description of a layer, or a
            list of these. Only texts change.

    Returns:
        The same, with other texts.
    """

    def former(layer_class, option):
        return layer_class.former_defaults[option]

    return _completed(attention, former)


def _completed(attention, value_of):
    """Texts with a value for each option of `former_defaults` that they do not name."""
    if isinstance(attention, (list, tuple)):
        return [_completed(each, value_of) for each in attention]
    if not isinstance(attention, str) or attention.startswith("["):
        return attention
    try:
        mechanism = Mechanism.parse(attention)
    except ValueError:
        # Building the block says what is wrong with it.
        return attention
    layer_class = mechanisms().get(mechanism.name)
    former = getattr(layer_class, "former_defaults", {})
    missing = {
        option: value_of(layer_class, option)
        for option in former
        if option not in mechanism.options
    }
    if not missing:
        return attention
    return str(Mechanism(mechanism.name, {**mechanism.options, **missing}))
