"""What to say when Keras cannot run on the backend that it is to run on."""

import importlib.util
import json
import os
from pathlib import Path

BACKENDS = ("jax", "tensorflow", "torch")


def explain() -> str | None:
    """Returns what is wrong with the backend that Keras would take, or `None`.

    Nothing is imported: a backend counts as installed if Python would find it.
    """
    name, received = wanted()
    return None if name in installed() else describe(name, received)


def describe(name: str, received: str) -> str:
    """Returns why a backend cannot be used, and what to do.

    Args:
        name: The backend, or what was taken for one.
        received: What chose it.
    """
    found = installed()
    if name in BACKENDS:
        problem = f"Keras uses the backend {name}, which is not installed."
        extras = [name]
    else:
        problem = f"keras_twa runs on jax, tensorflow and torch, not on {name}."
        extras = [other for other in BACKENDS if other not in found]
    advice = []
    if found:
        advice.append("set KERAS_BACKEND to one of them")
    for extra in extras[:1]:
        advice.append(f'install {extra} with `pip install "keras-twa[{extra}]"`')
    return (
        f"{problem} Installed backends: {', '.join(found) or 'none'}. "
        f"To mend this, {', or '.join(advice)}. Received: {received}"
    )


def installed() -> list[str]:
    """Returns the names of the backends that Python would find."""
    return [name for name in BACKENDS if importlib.util.find_spec(name)]


def wanted() -> tuple[str, str]:
    """Returns the backend that Keras takes, and what says so."""
    name = os.environ.get("KERAS_BACKEND")
    if name:
        return name, f"KERAS_BACKEND={name}"
    folder = os.environ.get("KERAS_HOME") or "~/.keras"
    path = Path(os.path.expanduser(folder)) / "keras.json"
    try:
        name = str(json.loads(path.read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow", "KERAS_BACKEND is not set; the default is tensorflow"
    return name, f"KERAS_BACKEND is not set; {path} says {name}"
