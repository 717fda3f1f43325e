"""Brings the house's docstrings into the form that the site's parser knows.

A mechanism's docstring is composed when its class is made, while the parser reads the
source. Arguments that a class passes on to its base have their defaults there. Two
sections have names of their own, and an example that is not indented, as the doctests
are, would be read as a quotation.
"""

import importlib
import inspect
import re

import griffe

ATTENTION = "keras_twa.layers.attention.base.Attention"


class HouseDocstrings(griffe.Extension):
    """Rewrites all docstrings of a package once it is loaded."""

    def on_package(self, *, pkg, **kwargs):
        """Rewrites those of a package."""
        rewrite(pkg)


def rewrite(thing):
    """Rewrites the docstring of a module, class or function, and of what is in it."""
    if thing.is_class:
        name_all_arguments(thing)
        if thing.docstring is not None and extends_attention(thing):
            found = getattr(importlib.import_module(thing.module.path), thing.name)
            thing.docstring.value = inspect.getdoc(found)
    if thing.docstring is not None:
        thing.docstring.value = translated(thing.docstring.value)
    for member in thing.members.values():
        if not member.is_alias:
            rewrite(member)


def name_all_arguments(made):
    """Puts the arguments of base classes before `**kwargs`."""
    own = made.members.get("__init__")
    if own is None or "kwargs" not in own.parameters:
        return
    others = own.parameters["kwargs"]
    del own.parameters["kwargs"]
    for base in made.mro():
        for parameter in base.parameters:
            if parameter.name not in own.parameters and parameter.name != "kwargs":
                own.parameters.add(parameter)
    own.parameters.add(others)


def extends_attention(made):
    """Whether a class is an attention layer."""
    return any(base.path == ATTENTION for base in made.mro())


def translated(text):
    """A docstring with the sections that the parser knows."""
    text = text.replace("\nCall arguments:\n", "\nOther Args: Call arguments\n")
    before, example, rest = text.partition("\nExample:\n\n")
    if not example:
        return text
    code, reference, after = rest.partition("\n\nReference:\n")
    indented = re.sub(r"^(?=.)", "    ", code, flags=re.MULTILINE)
    return f"{before}\nExamples:\n{indented}{reference}{after}"
