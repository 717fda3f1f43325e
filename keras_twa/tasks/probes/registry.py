"""Probes by name."""

import importlib
from typing import Any

from keras_twa.tasks.settings import check_choice

# Each has a module of its name, which is imported when someone asks for the probe.
_NAMES = (
    "associative_recall",
    "noisy_recall",
    "fuzzy_recall",
    "selective_copying",
    "compression",
    "memorization",
    "parity",
    "permutations",
    "induction",
    "copying",
    "timed_recall",
    "nearest_in_space",
    "nested_decay",
)
_PACKAGE = "keras_twa.tasks.probes"
# Where the tasks of the probes are defined, as the registry of tasks writes it.
PLACES = {name: f"{_PACKAGE}.{name}:TASK" for name in _NAMES}


def names() -> tuple[str, ...]:
    """Returns the names of all probes."""
    return _NAMES


def get(name: str) -> Any:
    """Returns a `Probe`.

    Args:
        name: Its name.

    Raises:
        ValueError: If there is none; a similar name is suggested.
    """
    check_choice("probe", name, _NAMES)
    return importlib.import_module(f"{_PACKAGE}.{name}").PROBE
