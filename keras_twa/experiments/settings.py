"""The settings that the runs of one comparison share."""

from collections.abc import Iterable
from dataclasses import dataclass

from keras_twa.suggestions import close_names

SCHEDULES = ("constant", "cosine", "linear", "inverse_sqrt")


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Raises `ValueError` for an unknown value, with close matches."""
    choices = list(choices)
    if value in choices:
        return
    close = close_names(str(value), choices, 3)
    hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise ValueError(
        f"Unknown {what}. {hint}Choose from: {', '.join(choices)}. "
        f"Received: {what}={value!r}"
    )


@dataclass(frozen=True)
class Settings:
    """The common settings of the runs of one comparison.

    A preset is one `Settings` per task. The defaults are those of the `mvp`
    preset, so that each preset lists only its differences.

    Args:
        num_train: Rows used for training. `None` means all.
        num_validation: Rows held out from training. `None` means a tenth.
        num_test: Test rows. `None` means all.
        min_length: ListOps expressions have more tokens than this.
        max_length: ListOps expressions have fewer tokens than this; reviews are
            cut to this many bytes.
        max_depth: Depth of the deepest digits of ListOps expressions.
        max_args: Largest number of arguments of a ListOps operator.
        data_seed: Seed of generated data and of the validation split. It is the
            same for all runs, so that runs of one seed differ only in the mechanism.
        num_layers: Number of encoder blocks.
        embedding_dim: Width of the model.
        num_heads: Attention heads; each has `embedding_dim / num_heads` dimensions.
        intermediate_dim: Width of the feed-forward networks.
        dropout: Dropout rate of the blocks.
        positions: `"sinusoidal"` or `"learned"`.
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
        patience: Epochs without a better validation accuracy that end training.
    """

    num_train: int | None = 96_000
    num_validation: int | None = 2_000
    num_test: int | None = 2_000
    min_length: int = 500
    max_length: int = 2_000
    max_depth: int = 10
    max_args: int = 10
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
        for name in ("weight_decay", "warmup_steps", "min_length", "data_seed"):
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
        check_choice("positions", self.positions, ("sinusoidal", "learned"))
        check_choice("pooling", self.pooling, ("mean", "cls"))
        check_choice("schedule", self.schedule, SCHEDULES)


_POSITIVE_INTEGERS = (
    "num_train",
    "num_validation",
    "num_test",
    "max_length",
    "max_depth",
    "max_args",
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
