"""A mechanism with options, and its text. It needs no Keras."""

import ast
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Mechanism:
    """An attention mechanism by name, with constructor arguments of its layer.

    It stands wherever the name of a mechanism can: in `keras_twa.layers.get`, blocks,
    models, comparisons, searches and commands. Its text is a call of the name:
    `temporal_weighted(applies_to="lag", time_scale=10)`.

    Args:
        name: The name, as in `keras_twa.layers.mechanisms()`.
        options: Constructor arguments by name: numbers, strings, booleans, `None`, and
            lists, tuples or dictionaries of them.

    Raises:
        ValueError: If the name is no identifier, or a value has no such text.

    Example:

    >>> from keras_twa.layers import Mechanism
    >>> mechanism = Mechanism("local", {"window": 32})
    >>> str(mechanism)
    'local(window=32)'
    >>> Mechanism.parse("local(window=32)") == mechanism
    True
    """

    name: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(
                "A mechanism is a name, or a call of it such as `local(window=32)`. "
                f"Received: {self.name!r}"
            )
        options = {name: _plain(self.options[name]) for name in sorted(self.options)}
        for name, value in options.items():
            if not _has_text(value):
                raise ValueError(
                    "An option must be a finite number, a string, a boolean, `None`, "
                    "or a list, tuple or dictionary of them. "
                    f"Received: {name}={value!r}"
                )
        object.__setattr__(self, "options", options)

    def __str__(self) -> str:
        if not self.options:
            return self.name
        options = ", ".join(f"{k}={_text(v)}" for k, v in self.options.items())
        return f"{self.name}({options})"

    def __hash__(self) -> int:
        return hash(str(self))

    @classmethod
    def parse(cls, text: str) -> "Mechanism":
        """Returns the mechanism with this text.

        Raises:
            ValueError: If the text is neither a name nor a call of a name with values
                by keyword.
        """
        found = parse(text)
        if not isinstance(found, Mechanism):
            raise ValueError(f"One mechanism is expected. Received: {text!r}")
        return found


def parse(source: str) -> Mechanism | tuple[Mechanism, ...]:
    """Returns a mechanism from its text, or several from a list of such texts.

    Args:
        source: `local`, `local(window=32)`, or `[local, local, gated_delta]`.

    Raises:
        ValueError: If the text has another form.
    """
    try:
        node = ast.parse(source.strip(), mode="eval").body
        if isinstance(node, (ast.List, ast.Tuple)) and node.elts:
            return tuple(_from_node(item) for item in node.elts)
        return _from_node(node)
    except (SyntaxError, ValueError, TypeError) as error:
        # A `ValueError` about an option says what is wrong itself.
        if "Received: " in str(error):
            raise
        raise ValueError(
            "A mechanism is a name such as `local`, a call of it with values by "
            "keyword, such as `local(window=32)`, or a list of them with one per "
            f"block. Received: {source!r}"
        ) from None


def text(found: Mechanism | tuple[Mechanism, ...]) -> str:
    """Returns the text of a mechanism, or of several."""
    if isinstance(found, Mechanism):
        return str(found)
    return f"[{', '.join(map(str, found))}]"


def listed(found: Mechanism | tuple[Mechanism, ...]) -> tuple[Mechanism, ...]:
    """Returns the mechanisms, also where there is one for all blocks."""
    return (found,) if isinstance(found, Mechanism) else found


def as_texts(attention: Any) -> Any:
    """Returns an attention with a text for each `Mechanism`, and a list for its text.

    Args:
        attention: A text, a `Mechanism`, anything else, which stays as it is, or a list
            of these with one entry per block.
    """
    if isinstance(attention, str) and attention.startswith("["):
        attention = parse(attention)
    if isinstance(attention, (list, tuple)):
        return [as_texts(each) for each in attention]
    return str(attention) if isinstance(attention, Mechanism) else attention


def _from_node(node: ast.expr) -> Mechanism:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return Mechanism.parse(node.value)
    if isinstance(node, ast.Name):
        return Mechanism(node.id)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError("not a name or a call")
    if node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("not by keyword")
    options = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    if len(options) != len(node.keywords):
        raise ValueError("a keyword twice")
    return Mechanism(node.func.id, options)


def _plain(value: Any) -> Any:
    """The value with lists for tuples, as they have the same text."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _has_text(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_has_text, value))
    if isinstance(value, Mapping):
        return all(map(_has_text, value)) and all(map(_has_text, value.values()))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def _text(value: Any) -> str:
    """The text of a value."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{_text(k)}: {_text(v)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    return repr(value)
