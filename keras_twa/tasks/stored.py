"""A task that is a folder: a Keras model of the user's, and the rows for it.

`keras_twa.compare` writes such a folder, and each run of the comparison reads it in a
process of its own:

    task.json      what the comparison and its report need to know
    model.keras    the model
    objects.pkl    the model's custom classes and functions, and how it was compiled
    arrays/*.npy   the rows, which are read as they are needed
"""

import functools
import json
import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.tasks.array_rows import ArrayBatches
from keras_twa.tasks.array_rows import Group
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import AS_GIVEN
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task

FACTS, MODEL, OBJECTS, ARRAYS = "task.json", "model.keras", "objects.pkl", "arrays"
FORMAT = 1
# The files of each split.
Files = dict[str, list[tuple[Any, str]]]
# The preset that a stored task has.
PRESET = "given"
# Settings that have an effect; the others are those of the model.
USED = ("batch_size", "epochs", "patience")


def stored_task(folder: str | os.PathLike[str]) -> Task:
    """Returns the task in a folder.

    Args:
        folder: The folder.

    Raises:
        ValueError: If it has no task.
    """
    path = Path(folder)
    facts = path / FACTS
    return _task(path, facts.stat().st_mtime_ns if facts.is_file() else 0)


@functools.lru_cache(maxsize=8)
def _task(path: Path, written: int) -> Task:
    """The task in a folder, read once for each time that it was written."""
    try:
        facts = json.loads((path / FACTS).read_text("utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']}, not {FORMAT}")
        settings = Settings.from_json(facts["settings"])
        metric = Metric.from_json(facts["metric"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"Not a stored task ({type(error).__name__}: {error}). Received: {path}"
        ) from None

    # Read when a run needs it, and once for all that it needs.
    @functools.cache
    def stored() -> Stored:
        return Stored(path)

    def load(data: str, settings: Settings, progress: Progress | None) -> StoredRows:
        return StoredRows.load(stored(), facts)

    def as_given(settings: Settings, rows: Any) -> Any:
        return stored().model(facts["initial_weights"])

    def exchanged(attention: Any, settings: Settings, rows: Any) -> Any:
        return exchange(as_given(settings, rows), attention, facts["where"])

    def compile(
        model: Any, settings: Settings, steps: int, learning_rate: float | None
    ) -> None:
        stored().compile(model, learning_rate)

    return Task(
        name="stored",
        title=facts["title"],
        load=load,
        build_model=exchanged,
        models={AS_GIVEN: as_given},
        baseline=AS_GIVEN,
        loss=_no_loss,
        compile=compile,
        metric=metric,
        baselines=lambda rows: facts["baselines"],
        explanations=facts["explanations"],
        note=lambda rows, settings: "",
        caveats=tuple(facts["caveats"]),
        presets={PRESET: settings},
        options=settings.options,
        used=USED,
    )


def exchange(model: Any, attention: Any, where: Sequence[int]) -> Any:
    """Returns a copy of a model with other attention.

    Args:
        model: The model.
        attention: The new attention.
        where: The numbers of the layers to exchange. Their names may differ between two
            processes.
    """
    from keras_twa.swapping import swap_attention
    from keras_twa.swapping.places import attention_layers
    from keras_twa.swapping.places import path_of

    places = attention_layers(model)
    paths = {path_of(places[index]) for index in where}
    return swap_attention(model, attention, where=lambda path: path in paths)


def _no_loss() -> None:
    """The model was compiled with its own."""


@dataclass(frozen=True)
class StoredRows:
    """The rows in the folder of a task.

    Args:
        groups: The rows of each split, grouped by their shapes.
        source: What they are, for the heading of a report.
        data: The value of `--data` that gives the same rows again.
        fingerprint: A text for each split that identifies its rows.
    """

    groups: dict[str, list[Group]]
    source: str
    data: str
    fingerprint: Fingerprint

    @classmethod
    def load(cls, stored: "Stored", facts: dict[str, Any]) -> "StoredRows":
        """Opens the arrays in a folder.

        Args:
            stored: What is in the folder.
            facts: The contents of its `task.json`.
        """
        groups = opened(stored.folder, stored.objects["groups"])
        return cls(groups, facts["source"], "auto", facts["fingerprint"])

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each split."""
        return {
            name: sum(len(group.rows) for group in groups)
            for name, groups in self.groups.items()
        }

    def train_batches(self, batch_size: int, seed: int) -> ArrayBatches:
        """Returns shuffled batches of the training rows."""
        return ArrayBatches(self.groups["train"], batch_size, seed)

    def evaluation_batches(self, split: str, batch_size: int) -> ArrayBatches:
        """Returns the batches of a split, in order."""
        return ArrayBatches(self.groups[split], batch_size)


def opened(folder: Path, groups: Files) -> dict[str, list[Group]]:
    """Returns the rows in files.

    Args:
        folder: The folder of the task.
        groups: For each split, pairs of the files of `(inputs, targets, weights)` and
            the file with the numbers of the rows that count.
    """
    import keras

    def array(name: str | None) -> Any:
        if name is None:
            return None
        return np.load(folder / ARRAYS / name, mmap_mode="r", allow_pickle=False)

    return {
        split: [
            Group(keras.tree.map_structure(array, arrays), array(rows))
            for arrays, rows in found
        ]
        for split, found in groups.items()
    }


def first_inputs(folder: Path, groups: Files) -> Any:
    """Returns the inputs of one training row."""
    inputs, _, _ = next(ArrayBatches(opened(folder, groups)["train"], 1).epoch())
    return inputs


class Stored:
    """The model in the folder of a task, and what belongs to it.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = json.loads((folder / FACTS).read_text("utf-8"))["paths"]
        # Last, so that nothing in them hides a module of Python's own.
        sys.path.extend(path for path in paths if path not in sys.path)
        # Only ever a file that `keras_twa.compare` has written for this user.
        self.objects = pickle.loads((folder / OBJECTS).read_bytes())
        _register(self.objects["custom"])

    def model(self, initial_weights: str = "given") -> Any:
        """Returns the model, not compiled.

        Args:
            initial_weights: `"given"` for the weights that it was stored with, or
                `"new"` for new values of those that are trained.
        """
        import keras

        custom = self.objects["custom"]
        path = self.folder / MODEL
        model = keras.saving.load_model(path, custom_objects=custom, compile=False)
        if initial_weights == "new":
            with keras.saving.custom_object_scope(custom):
                other = type(model).from_config(model.get_config())
                if not other.built:
                    other.build_from_config(model.get_build_config())
            pairs = zip(
                model.trainable_variables, other.trainable_variables, strict=True
            )
            for variable, new in pairs:
                variable.assign(new)
        return model

    def compile(self, model: Any, learning_rate: float | None = None) -> None:
        """Compiles a model as the stored one was compiled.

        Args:
            model: The model.
            learning_rate: The learning rate, if it is another one.
        """
        import keras

        with keras.saving.custom_object_scope(self.objects["custom"]):
            config = self.objects["compile_config"]
            if config is not None:
                # The class has a `compile` of its own.
                model.compile_from_config(config)
                if learning_rate is not None:
                    model.optimizer.learning_rate = learning_rate
            else:
                arguments = keras.saving.deserialize_keras_object(
                    self.objects["compile"], safe_mode=False
                )
                if learning_rate is not None:
                    optimizer = keras.optimizers.get(arguments["optimizer"])
                    changed = optimizer.get_config() | {"learning_rate": learning_rate}
                    arguments["optimizer"] = type(optimizer).from_config(changed)
                model.compile(**arguments)


def _register(custom: dict[str, Any]) -> None:
    """Lets Keras know the classes by the names that they were registered under."""
    import keras

    for name, found in custom.items():
        package, mark, short = name.rpartition(">")
        if mark and keras.saving.get_registered_object(name) is None:
            keras.saving.register_keras_serializable(package, short)(found)
