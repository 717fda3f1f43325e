"""The description of one run: task, mechanism, seed and settings."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_twa import registered
from keras_twa import tasks
from keras_twa.mechanism import listed
from keras_twa.mechanism import parse
from keras_twa.mechanism import text
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.settings import check_choice
from keras_twa.tasks.task import BASELINE

# Compared by default: all mechanisms would take much longer.
COMPARED = (
    BASELINE,
    "temporal_weighted",
    "gravitational",
    "multi_timescale",
    "gravitational_multi_timescale",
)


@dataclass(frozen=True)
class Experiment:
    """One run: one mechanism on one task with one seed.

    Args:
        task: The name of a task, as in `keras_twa.tasks.get()`.
        attention: The text of a mechanism, such as `local` or `local(window=32)`, or of
            a list of them with one per block.
        seed: Seed of the weights, of dropout, and of the order of the batches.
        preset: Name of the preset that `settings` started from.
        data: Where the rows come from, as the task's `load` takes it.
        settings: The `Settings`.
        defined_in: Where registered mechanisms are defined, "module:Name" by name, so
            that the run's process can import them. Defaults to what
            `keras_twa.layers.register` was given under these names.
        learning_rate: The rate, if it is not that of the settings but one of a sweep.

    Example:

    >>> experiment = Experiment.from_preset("listops", "quick", "gravitational")
    >>> experiment.name
    'gravitational-seed0'
    """

    task: str
    attention: str
    seed: int = 0
    preset: str = "quick"
    data: str = "auto"
    settings: Settings = dataclasses.field(default_factory=Settings)
    defined_in: Mapping[str, str] | None = None
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        found = parse(self.attention)
        object.__setattr__(self, "attention", text(found))
        object.__setattr__(self, "task", tasks.absolute(self.task))
        if self.defined_in is None:
            names = [each.name for each in listed(found)]
            places = {name: registered.place_of_name(name) for name in names}
            known = {name: place for name, place in places.items() if place}
            object.__setattr__(self, "defined_in", known)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ValueError(f"A seed must be an integer. Received: seed={self.seed!r}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(
                f"A seed must be from 0 to 2**32 - 1. Received: seed={self.seed}"
            )

    @classmethod
    def from_preset(
        cls,
        task: str,
        preset: str,
        attention: str,
        seed: int = 0,
        data: str = "auto",
        **changes: Any,
    ) -> "Experiment":
        """Returns the experiment of a preset with some settings changed."""
        settings = preset_settings(task, preset, **changes)
        return cls(task, attention, seed, preset, data, settings)

    @property
    def name(self) -> str:
        """Name of the run, and of its folder."""
        name = run_name(self.attention, self.seed)
        return (
            name if self.learning_rate is None else f"{name}-rate{self.learning_rate}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        values = dataclasses.asdict(self)
        if not self.defined_in:
            del values["defined_in"]
        if self.learning_rate is None:
            del values["learning_rate"]
        return values

    def check_importable(self) -> None:
        """Checks that another process can import the mechanisms.

        Raises:
            ValueError: If one is defined in a script, a notebook or a function.
        """
        for place in (self.defined_in or {}).values():
            module, _, name = place.partition(":")
            if module == "__main__" or "<locals>" in name:
                raise ValueError(
                    "Each run has a process of its own, which imports the mechanism: "
                    "define its class in a module, not in a script, a notebook or a "
                    f"function. Received: attention={self.attention!r}, which is "
                    f"defined in {place!r}"
                )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Experiment":
        """Returns the experiment from the values of `to_json()`."""
        try:
            settings = Settings.from_json(values["settings"])
            places = values.get("defined_in")
            if isinstance(places, str):
                # As earlier versions wrote it.
                places = {values["attention"]: places}
            given = {"settings": settings, "defined_in": places}
            return cls(**{**values, **given})
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"These are not the values of an experiment ({error}). "
                f"Received: {sorted(values)}"
            ) from None


def preset_settings(task: str, preset: str, **changes: Any) -> Settings:
    """Returns the settings of a preset for a task, with some changed."""
    presets = tasks.get(task).presets
    check_choice("preset", preset, presets)
    return presets[preset].changed(**changes)


def run_name(attention: str, seed: int) -> str:
    """Returns the name of a run, and of its folder."""
    return f"{_slug(attention)}-seed{seed}"


def _slug(text: str) -> str:
    """Returns a text as part of a file name, the same for no two texts."""
    if text.isidentifier():
        return text
    readable = re.sub("[^A-Za-z0-9_.]+", "-", text).strip("-")[:80]
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
