"""Tasks that mechanisms are compared on: rows, a model, a metric."""

from typing import Any

from keras_twa.tasks.registry import absolute
from keras_twa.tasks.registry import get
from keras_twa.tasks.registry import load
from keras_twa.tasks.registry import names
from keras_twa.tasks.registry import place_of
from keras_twa.tasks.registry import register
from keras_twa.tasks.rows import Rows
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Task

__all__ = [
    "ArrayRows",
    "Metric",
    "Rows",
    "Settings",
    "Task",
    "TokenRows",
    "absolute",
    "get",
    "load",
    "names",
    "place_of",
    "register",
]


def __getattr__(name: str) -> Any:
    # They need NumPy, which takes longer to import than `keras-twa --help` should.
    if name == "TokenRows":
        from keras_twa.tasks.token_rows import TokenRows

        return TokenRows
    if name == "ArrayRows":
        from keras_twa.tasks.array_rows import ArrayRows

        return ArrayRows
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
