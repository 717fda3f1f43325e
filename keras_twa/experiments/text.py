"""Numbers, errors and names as people read them."""

import codecs
from collections.abc import Mapping
from typing import Any

# The error handler of encodings that `encodable` and the streams of commands use.
SPELL_OUT = "keras_twa.spell_out"
SPELLED_OUT = {"±": "+/-", "–": "-", "—": "-", "×": "x", "γ": "gamma", "…": "..."}


def accuracy_text(value: float | None) -> str:
    """Returns 0.3642 as `36.4 %`."""
    return "–" if value is None else f"{100 * value:.1f} %"


def seconds_text(value: float | None) -> str:
    """Returns seconds with a sensible number of digits, minutes from 10 on."""
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
    """Returns the kind of an error and the first line that it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def one_line(error: BaseException) -> str:
    """Returns what an error says in one line, or its kind where it says nothing.

    Spaces stay as they are: they may be those of a file's name.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(filter(None, lines)) or type(error).__name__


def encodable(text: str, encoding: str = "utf-8") -> str:
    r"""Returns a text in which all that an encoding lacks is spelled out.

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
    # Python hides the bytes of file names that it cannot decode in these.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    escape = character.encode("ascii", "backslashreplace").decode("ascii")
    return SPELLED_OUT.get(character, escape)


codecs.register_error(SPELL_OUT, _spell_out)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Returns where two sets of facts differ, a phrase for each name."""
    return [
        f"{name} is {there.get(name)!r} there, {here.get(name)!r} here"
        for name in {**here, **there}
        if there.get(name) != here.get(name)
    ]
