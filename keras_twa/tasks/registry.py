"""Tasks by name."""

import importlib
import importlib.util
import os
import sys
import zlib
from pathlib import Path
from types import ModuleType

from keras_twa.suggestions import did_you_mean
from keras_twa.tasks import probes
from keras_twa.tasks.rows import Rows
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task

# Where they are defined: they are imported when someone asks for them.
BUILT_IN = {
    "listops": "keras_twa.tasks.listops:LISTOPS",
    "imdb": "keras_twa.tasks.imdb:IMDB",
    "dates": "keras_twa.tasks.dates:DATES",
    "byte_language_model": ("keras_twa.tasks.byte_language_model:BYTE_LANGUAGE_MODEL"),
    "vit_cifar10": "keras_twa.tasks.vit_cifar10:VIT_CIFAR10",
    "sequence_reversal": "keras_twa.tasks.sequence_reversal:SEQUENCE_REVERSAL",
    "time_series": "keras_twa.tasks.time_series:TIME_SERIES",
    "irregular_series": "keras_twa.tasks.irregular_series:IRREGULAR_SERIES",
    "uneven_series": "keras_twa.tasks.uneven_series:UNEVEN_SERIES",
    "series_classification": "keras_twa.tasks.own_files:SERIES_CLASSIFICATION",
    "series_regression": "keras_twa.tasks.own_files:SERIES_REGRESSION",
    "token_classification": "keras_twa.tasks.own_files:TOKEN_CLASSIFICATION",
    **probes.PLACES,
}
# Before the folder of a model and its rows, as `keras_twa.compare` stores them.
STORED = "stored:"
# The name of that folder in the one of the comparison.
STORED_FOLDER = "task"
_registered: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Adds a task of your own under its name.

    A run has a process of its own, which imports the task from the module that defines
    its `load`. So it must be a name in that module, not in a notebook or a script.

    Args:
        task: The `Task`. It may be registered again under the same name.

    Returns:
        The task.

    Raises:
        ValueError: If the name is that of a task of this package.
    """
    if task.name in BUILT_IN:
        raise ValueError(
            f"The name is taken by a task of this package. Received: name={task.name!r}"
        )
    _registered[task.name] = task
    return task


def names() -> tuple[str, ...]:
    """Returns the names of all tasks, registered ones last."""
    return (*BUILT_IN, *_registered)


def get(name: str) -> Task:
    """Returns a task.

    Args:
        name: A name, or "FILE.py:NAME" or "MODULE:NAME" of a `Task` in a file or module
            of yours.

    Raises:
        ValueError: If there is none; a similar name is suggested.
    """
    if name in _registered:
        return _registered[name]
    if name.startswith(STORED):
        from keras_twa.tasks.stored import stored_task

        return stored_task(name.removeprefix(STORED))
    place = BUILT_IN.get(name, name)
    if ":" not in place:
        hint = did_you_mean(name, names())
        raise ValueError(
            f"Unknown task. {hint}Choose from: {', '.join(names())}, or FILE.py:NAME. "
            f"Received: task={name!r}"
        )
    source, _, attribute = place.rpartition(":")
    try:
        found = getattr(_module(source), attribute)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise ValueError(
            f"The task cannot be imported: {type(error).__name__}: {error}. "
            f"Received: task={name!r}"
        ) from error
    if not isinstance(found, Task):
        raise ValueError(
            f"It is no `keras_twa.tasks.Task`, but {type(found).__name__}. "
            f"Received: task={name!r}"
        )
    return found


def place_of(name: str) -> str | None:
    """Returns where another process finds a registered task: "module:NAME".

    Returns `None` for a task that it finds by its name.

    Raises:
        ValueError: If the task is no name in a module.
    """
    task = _registered.get(name)
    if task is None:
        return None
    module = getattr(task.load, "__module__", None) or "__main__"
    known = vars(sys.modules[module]) if module in sys.modules else {}
    attribute = next((key for key, value in known.items() if value is task), None)
    if module == "__main__" or attribute is None:
        raise ValueError(
            "Each run has a process of its own, which imports the task: define it "
            "under a name in the module of its `load`, not in a script, a notebook or "
            f"a function. Received: task={name!r}"
        )
    return f"{module}:{attribute}"


def load(
    name: str, data: str, settings: Settings, progress: Progress | None = None
) -> Rows:
    """Returns the rows of a task.

    Args:
        name: What `get` takes.
        data: Where the rows come from, as the task's own `load` takes it.
        settings: The `Settings`.
        progress: Called while rows are generated or read.

    Raises:
        ValueError: If the task is unknown, or its data is missing or malformed.
    """
    found: Rows = get(name).load(data, settings, progress)
    return found


def absolute(name: str) -> str:
    """Returns a name that means the same in another folder."""
    if name.startswith(STORED):
        folder = Path(name.removeprefix(STORED)).expanduser().resolve()
        return f"{STORED}{folder}"
    source, colon, attribute = name.rpartition(":")
    if colon and source.endswith(".py"):
        return f"{Path(source).expanduser().resolve()}:{attribute}"
    return name


def _module(source: str) -> ModuleType:
    if not source.endswith(".py"):
        return importlib.import_module(source)
    path = Path(source).expanduser().resolve()
    if not path.is_file():
        raise FileNotFoundError(f"There is no such file: {source}")
    # Not under its own name, which could hide another module.
    # But one that is the same in each process: what is defined in it has its place.
    name = f"keras_twa_task_{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"No Python file: {source}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
