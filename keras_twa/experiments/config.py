"""The description of one run: task, mechanism, seed and settings."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_twa import registered
from keras_twa.experiments.settings import Settings
from keras_twa.experiments.settings import check_choice

TASKS = ("listops", "imdb")
BASELINE = "dot_product"
# Compared by default: all mechanisms would take much longer.
COMPARED = (
    BASELINE,
    "temporal_weighted",
    "gravitational",
    "multi_timescale",
    "gravitational_multi_timescale",
)

_IMDB: dict[str, Any] = {
    "num_train": None,
    "num_validation": None,
    "num_test": None,
    "min_length": 0,
    "max_length": 1024,
}

# Skyformer and Nystroemformer use this size for all their models.
_SKYFORMER: dict[str, Any] = {
    "embedding_dim": 64,
    "num_heads": 2,
    "intermediate_dim": 128,
    "positions": "learned",
    "weight_decay": 0.0,
    "max_steps": 50_000,
}

# The sizes and the optimizer of the LRA paper; its code uses 4 layers.
_LRA_PAPER: dict[str, Any] = {
    "num_layers": 6,
    "embedding_dim": 512,
    "num_heads": 8,
    "intermediate_dim": 2048,
    "pooling": "cls",
    "schedule": "inverse_sqrt",
    "weight_decay": 0.1,
    "beta_2": 0.98,
    "epsilon": 1e-9,
}

# Small enough to see all five mechanisms learn on two cores.
_QUICK: dict[str, Any] = {
    "embedding_dim": 64,
    "intermediate_dim": 128,
    "dropout": 0.0,
    "schedule": "cosine",
    "batch_size": 64,
    "num_heads": 2,
    "max_buckets": 2,
    "learning_rate": 2e-3,
    "warmup_steps": 50,
}

# All the training data, and the smallest model that learns from it: one pass over the
# reviews takes minutes for each mechanism on two cores.
_SMALL: dict[str, Any] = {
    **_QUICK,
    "num_layers": 1,
    "embedding_dim": 32,
    "num_heads": 1,
    "batch_size": 32,
    "epochs": 1,
}

PRESETS: dict[str, dict[str, Settings]] = {
    "quick": {
        "listops": Settings(
            **_QUICK,
            num_train=16_000,
            num_validation=1_000,
            num_test=2_000,
            min_length=1,
            max_length=65,
            max_depth=4,
            max_args=5,
            epochs=3,
        ),
        "imdb": Settings(
            **_QUICK | {"num_layers": 1, "embedding_dim": 32, "num_heads": 1},
            num_train=4_000,
            num_validation=500,
            num_test=1_000,
            min_length=0,
            max_length=256,
            epochs=3,
        ),
    },
    "small": {
        "listops": Settings(**_SMALL),
        "imdb": Settings(**_SMALL | _IMDB | {"num_test": 10_000}),
    },
    "mvp": {
        "listops": Settings(),
        "imdb": Settings(**_IMDB),
    },
    "skyformer": {
        "listops": Settings(
            **_SKYFORMER,
            epochs=17,
            warmup_steps=1_000,
            schedule="linear",
        ),
        "imdb": Settings(
            **_SKYFORMER | _IMDB | {"max_length": 4_000},
            epochs=70,
            warmup_steps=80,
            schedule="linear",
        ),
    },
    "lra_paper": {
        "listops": Settings(
            **_LRA_PAPER,
            epochs=2,
            max_steps=5_000,
            warmup_steps=1_000,
            learning_rate=0.05 / 1_000**0.5,
        ),
        "imdb": Settings(
            **_LRA_PAPER | _IMDB | {"max_length": 4_000},
            epochs=29,
            max_steps=20_000,
            warmup_steps=8_000,
            learning_rate=0.05 / 8_000**0.5,
        ),
    },
}


@dataclass(frozen=True)
class Experiment:
    """One run: one mechanism on one task with one seed.

    Args:
        task: `"listops"` or `"imdb"`.
        attention: Name of a mechanism, as in `keras_twa.layers.get()`.
        seed: Seed of the weights, of dropout, and of the order of the batches.
        preset: Name of the preset that `settings` started from.
        data: Where the rows come from: `"generated"`, `"tfds"`, `"sample"`, or a
            path.
        settings: The `Settings`.
        defined_in: Where a registered mechanism is defined, "module:Name", so that the
            run's process can import it. Defaults to what `keras_twa.layers.register`
            was given under this name, or `None` for a mechanism of this package.

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
    defined_in: str | None = None

    def __post_init__(self) -> None:
        if self.defined_in is None:
            place = registered.place_of_name(self.attention)
            object.__setattr__(self, "defined_in", place)
        check_choice("task", self.task, TASKS)
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
        return f"{self.attention}-seed{self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        values = dataclasses.asdict(self)
        if self.defined_in is None:
            del values["defined_in"]
        return values

    def check_importable(self) -> None:
        """Checks that another process can import the mechanism.

        Raises:
            ValueError: If it is defined in a script, a notebook or a function.
        """
        module, _, name = (self.defined_in or "").partition(":")
        if module == "__main__" or "<locals>" in name:
            raise ValueError(
                "Each run has a process of its own, which imports the mechanism: "
                "define its class in a module, not in a script, a notebook or a "
                f"function. Received: attention={self.attention!r}, which is defined "
                f"in {self.defined_in!r}"
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Experiment":
        """Returns the experiment from the values of `to_json()`."""
        try:
            settings = Settings(**values["settings"])
            return cls(**{**values, "settings": settings})
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"These are not the values of an experiment ({error}). "
                f"Received: {sorted(values)}"
            ) from None


def preset_settings(task: str, preset: str, **changes: Any) -> Settings:
    """Returns the settings of a preset for a task, with some changed."""
    check_choice("preset", preset, PRESETS)
    check_choice("task", task, TASKS)
    for name in changes:
        check_choice("setting", name, [f.name for f in dataclasses.fields(Settings)])
    return dataclasses.replace(PRESETS[preset][task], **changes)
