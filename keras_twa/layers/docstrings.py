"""What the docstring of a mechanism says, for tables and commands."""

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
    for paragraph in paragraphs(layer_class):
        _, found, text = paragraph.partition("Cost")
        if found:
            text = text.lstrip(":, ")
            return text[0].upper() + text[1:]
    raise ValueError(
        "The docstring of a mechanism must state its cost. "
        f"Received: {layer_class.__name__}"
    )
