"""Reads the docstrings of mechanisms, for tables and commands."""

import inspect


def paragraphs(layer_class):
    """The paragraphs of a docstring, each on one line."""
    return [
        " ".join(part.split()) for part in inspect.getdoc(layer_class).split("\n\n")
    ]


def cost(layer_class):
    """What the docstring says after "Cost".

    Raises:
        ValueError: If it does not say it.

    Example:

    >>> from keras_twa.layers import DotProductAttention
    >>> cost(DotProductAttention)
    'O(T S D) time, O(T + S) memory.'
    """
    text = stated_cost(layer_class)
    if text is None:
        raise ValueError(
            "The docstring of a mechanism must state its cost. "
            f"Received: {layer_class.__name__}"
        )
    return text


def stated_cost(layer_class):
    """What the docstring says after "Cost", or `None` if it does not say it."""
    if not layer_class.__doc__:
        return None
    for paragraph in paragraphs(layer_class):
        _, found, text = paragraph.partition("Cost")
        text = text.lstrip(":, ")
        if found and text:
            return text[0].upper() + text[1:]
    return None
