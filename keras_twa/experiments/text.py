"""Numbers, errors and names as text for people."""

import codecs
from collections.abc import Mapping
from typing import Any

# The error handler of encodings that `encodable` and the streams of commands use.
SPELL_OUT = "keras_twa.spell_out"
SPELLED_OUT = {"±": "+/-", "–": "-", "—": "-", "×": "x", "γ": "gamma", "…": "..."}


def attention_text(attention: str) -> str:
    """Returns a name for people, such as `local` or `local(num_global_tokens=2)`."""
    name, bracket, options = attention.partition("(")
    if attention.startswith("["):
        return attention
    return f"{name.replace('_', ' ')}{bracket}{options}"


def note_heading(facts: Mapping[str, Any]) -> str:
    """Returns what is printed before the note of a comparison.

    Args:
        facts: Its facts, of which earlier versions had no "published".
    """
    published = facts.get("published", True)
    return "Not the published task" if published else "About the data"


def seconds_text(value: float | None) -> str:
    """Returns seconds with few digits, and minutes from 10 minutes on."""
    if value is None:
        return "–"
    if value >= 600:
        return f"{value / 60:.0f} min"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def bytes_text(value: float | None) -> str:
    """Returns bytes as MB or GB."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def error_text(error: Exception) -> str:
    """Returns the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def one_line(error: BaseException) -> str:
    """Returns the message of an error in one line, or its type without a message.

    Spaces are not changed: they may be part of a file name.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(filter(None, lines)) or type(error).__name__


def encodable(text: str, encoding: str = "utf-8") -> str:
    r"""Returns a text with replacements for characters that an encoding lacks.

    In ASCII, `±` is `+/-`, and most other characters are escapes such as `\u03b1`. A
    byte of a file name that is no character, as Python holds it, is `\xe9`.
    """
    return text.encode(encoding, SPELL_OUT).decode(encoding)


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(map(_spelled, wrong)), error.end


def _spelled(character: str) -> str:
    # Python represents bytes of file names that it cannot decode by these.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    escape = character.encode("ascii", "backslashreplace").decode("ascii")
    return SPELLED_OUT.get(character, escape)


codecs.register_error(SPELL_OUT, _spell_out)
