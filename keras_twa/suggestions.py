"""What someone may have meant by a name that there is not."""

import difflib
import re
from collections.abc import Iterable

# Ends of class names that the names of their kind do not have.
_ENDS = ("s", "layer", "attention", "position", "function", "temporal")


def close_names(wanted: str, choices: Iterable[str], count: int = 1) -> list[str]:
    """Returns the choices that are closest to a name, the closest first.

    Case, dashes and underscores do not matter, and the name of a class stands for its
    short name: "RetentionAttention" is close to "retention".

    Args:
        wanted: The name.
        choices: The names that there are.
        count: Most names to return.
    """
    by_form: dict[str, str] = {}
    for choice in choices:
        by_form.setdefault(_form(choice), choice)
    close = difflib.get_close_matches(_form(wanted), by_form, n=count)
    return [by_form[form] for form in close]


def did_you_mean(wanted: str, choices: Iterable[str], count: int = 3) -> str:
    """Returns "Did you mean 'a' or 'b'? " for the start of a sentence, or "".

    Args:
        wanted: The name.
        choices: The names that there are.
        count: Most names to suggest.
    """
    close = close_names(wanted, choices, count)
    return f"Did you mean {' or '.join(map(repr, close))}? " if close else ""


def _form(name: str) -> str:
    """A name without package, case, punctuation and what its kind ends with."""
    last = re.split(r"[>.:/]", name)[-1]
    form = re.sub(r"[^a-z0-9]", "", last.lower())
    for end in _ENDS:
        form = form.removesuffix(end) or form
    return form
