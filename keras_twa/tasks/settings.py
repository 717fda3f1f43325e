"""The settings that the runs of one comparison share."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from keras_twa.suggestions import did_you_mean

POSITIONS = ("sinusoidal", "learned", "rotary", "none")
SCHEDULES = ("constant", "cosine", "linear", "inverse_sqrt")


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Raises `ValueError` for an unknown value, with close matches."""
    choices = list(choices)
    if value in choices:
        return
    hint = did_you_mean(str(value), choices)
    raise ValueError(
        f"Unknown {what}. {hint}Choose from: {', '.join(choices)}. "
        f"Received: {what}={value!r}"
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """The common settings of the runs of one comparison.

    A preset is one `Settings` per task. The defaults are those of the `mvp`
    preset of `listops`, so that each preset lists only its differences.

    Args:
        num_train: Rows used for training. `None` means all.
        num_validation: Rows held out from training. `None` means a tenth.
        num_test: Test rows. `None` means all.
        max_length: Longest sequence in tokens.
        data_seed: Seed of generated data and of the validation split. It is the
            same for all runs, so that runs of one seed differ only in the mechanism.
        num_layers: Number of encoder blocks.
        embedding_dim: Width of the model.
        num_heads: Attention heads; each has `embedding_dim / num_heads` dimensions.
        intermediate_dim: Width of the feed-forward networks.
        dropout: Dropout rate of the blocks.
        positions: `"sinusoidal"` or `"learned"`; in probes also `"rotary"` or `"none"`.
        pooling: `"mean"` or `"cls"`.
        batch_size: Rows per step.
        max_buckets: Largest number of padded lengths. Each is compiled.
        learning_rate: Rate of AdamW after the warm-up.
        warmup_steps: Steps in which the rate rises to `learning_rate`.
        schedule: The schedule after the warm-up: `"constant"`, `"cosine"` or `"linear"`
            down to zero at the last step, or `"inverse_sqrt"`.
        weight_decay: Weight decay of AdamW.
        beta_2: Decay of the second moments of AdamW.
        epsilon: Epsilon of AdamW.
        clipnorm: Largest norm of the gradient of a weight.
        epochs: Passes over the training data.
        max_steps: Steps after which training ends, whatever `epochs` says.
        patience: Epochs without a better validation score that end training.
        options: The task's own settings by name.
    """

    num_train: int | None = 96_000
    num_validation: int | None = 2_000
    num_test: int | None = 2_000
    max_length: int = 2_000
    data_seed: int = 0
    num_layers: int = 2
    embedding_dim: int = 128
    num_heads: int = 4
    intermediate_dim: int = 512
    dropout: float = 0.1
    positions: str = "sinusoidal"
    pooling: str = "mean"
    batch_size: int = 32
    max_buckets: int = 5
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    schedule: str = "constant"
    weight_decay: float = 1e-5
    beta_2: float = 0.999
    epsilon: float = 1e-7
    clipnorm: float = 1.0
    epochs: int = 20
    max_steps: int | None = None
    patience: int = 10
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _POSITIVE_INTEGERS:
            value = getattr(self, name)
            optional = name in (
                "num_train",
                "num_validation",
                "num_test",
                "max_steps",
            )
            if value is None and optional:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={value!r}"
                )
        for name in ("learning_rate", "clipnorm", "epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={getattr(self, name)}"
                )
        for name in ("weight_decay", "warmup_steps", "data_seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"`{name}` must not be negative. "
                    f"Received: {name}={getattr(self, name)}"
                )
        for name in ("dropout", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 0 and below 1. "
                    f"Received: {name}={getattr(self, name)}"
                )
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                "`embedding_dim` must be a multiple of `num_heads`. Received: "
                f"embedding_dim={self.embedding_dim}, num_heads={self.num_heads}"
            )
        check_choice("positions", self.positions, POSITIONS)
        check_choice("pooling", self.pooling, ("mean", "cls"))
        check_choice("schedule", self.schedule, SCHEDULES)

    def changed(self, **changes: Any) -> "Settings":
        """Returns the settings with some changed, also those of the task.

        Raises:
            ValueError: If there is no such setting; similar names are suggested.
        """
        own = {name: value for name, value in changes.items() if name in self.options}
        for name in changes:
            check_choice("setting", name, [*NAMES, *self.options])
        general = {name: changes[name] for name in changes if name not in own}
        options = {**self.options, **own}
        return dataclasses.replace(self, **general, options=options)

    def value(self, name: str) -> Any:
        """Returns a setting, also one of the task."""
        return self.options[name] if name in self.options else getattr(self, name)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Settings":
        """Returns the settings of plain values.

        Earlier versions had the options of one task among the settings of all tasks.
        """
        values = dict(values)
        if "options" not in values:
            found = {name: values.pop(name) for name in EARLIER if name in values}
            # The other task wrote them with the defaults, and they had no effect.
            values["options"] = found if found != EARLIER else {}
        return cls(**values)


NAMES = tuple(
    field.name for field in dataclasses.fields(Settings) if field.name != "options"
)
# Settings of every task in earlier versions, with what IMDb had there.
EARLIER = {"min_length": 0, "max_depth": 10, "max_args": 10}
_POSITIVE_INTEGERS = (
    "num_train",
    "num_validation",
    "num_test",
    "max_length",
    "num_layers",
    "embedding_dim",
    "num_heads",
    "intermediate_dim",
    "batch_size",
    "max_buckets",
    "epochs",
    "max_steps",
    "patience",
)
