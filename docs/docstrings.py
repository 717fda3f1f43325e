"""Brings the house's docstrings into the form that the site's parser knows.

Arguments that a class hands on to its base have their defaults there. Two sections have
names of their own, and an example that is not indented, as the doctests are, would be
read as a quotation.
"""

import re

import griffe


class HouseDocstrings(griffe.Extension):
    """Rewrites all docstrings of a package once it is loaded."""

    def on_package(self, *, pkg, **kwargs):
        """Rewrites those of a package."""
        rewrite(pkg)


def rewrite(thing):
    """Rewrites the docstring of a module, class or function, and of what is in it."""
    if thing.is_class:
        name_all_arguments(thing)
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
    for base in made.resolved_bases:
        for parameter in base.parameters:
            if parameter.name not in own.parameters and parameter.name != "kwargs":
                own.parameters.add(parameter)
    own.parameters.add(others)


def translated(text):
    """A docstring with the sections that the parser knows."""
    text = text.replace("\nCall arguments:\n", "\nOther Args: Call arguments\n")
    before, example, rest = text.partition("\nExample:\n\n")
    if not example:
        return text
    code, reference, after = rest.partition("\n\nReference:\n")
    indented = re.sub(r"^(?=.)", "    ", code, flags=re.MULTILINE)
    return f"{before}\nExamples:\n{indented}{reference}{after}"
