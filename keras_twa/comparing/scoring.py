"""Which value of a compiled model a comparison compares, and in which direction."""

import re
from collections.abc import Sequence

from keras_twa.suggestions import did_you_mean
from keras_twa.tasks import Metric

# Parts of the names of values: of those that should be high, and those in per cent.
HIGHER = (
    "acc",
    "accuracy",
    "auc",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
    "score",
    "f1",
    "iou",
    "dice",
    "r2",
    "similarity",
    "kappa",
    "correlation",
    "positives",
    "bleu",
    "rouge",
)
LOWER = (
    "loss",
    "error",
    "mse",
    "mae",
    "mape",
    "msle",
    "rmse",
    "crossentropy",
    "divergence",
    "hinge",
    "perplexity",
    "logcosh",
    "poisson",
    "false",
    "distance",
)
SHARES = ("acc", "accuracy", "precision", "recall")


def primary_metric(
    names: Sequence[str],
    primary: str | None = None,
    higher_is_better: bool | None = None,
) -> Metric:
    """Returns what the runs of a model are compared by.

    Args:
        names: The names of the values that the model's `evaluate` returns.
        primary: The name of one of them. Defaults to the first metric, or to the loss,
            if there is no metric or there are several outputs.
        higher_is_better: The direction, if the name does not tell it.

    Raises:
        ValueError: If there is no such value, or its direction is unknown.
    """
    if primary is None:
        primary = _default(names)
    primary = primary.removeprefix("val_")
    if primary not in names:
        hint = did_you_mean(primary, names)
        raise ValueError(
            f"The model has no such value. {hint}Choose from: {', '.join(names)}. "
            f"Received: primary={primary!r}"
        )
    words = _words(primary)
    found = higher_is_better
    if found is None:
        found = _direction(words)
    if found is None:
        raise ValueError(
            "The name does not tell whether a higher value is better: give "
            f"`higher_is_better`. Received: primary={primary!r}"
        )
    percent = bool(words & {*SHARES}) and found
    return Metric(primary, higher_is_better=found, percent=percent)


def _default(names: Sequence[str]) -> str:
    metrics = [name for name in names if name != "loss"]
    losses = [name for name in metrics if name.endswith("_loss")]
    return "loss" if losses or not metrics else metrics[0]


def _words(name: str) -> set[str]:
    """The words of a name, without numbers: "sparse_auc_1" has "sparse" and "auc"."""
    spaced = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = re.split("[^a-z0-9]+", spaced)
    return {word for word in words if not word.isdigit()}


def _direction(words: set[str]) -> bool | None:
    # A "false_positives" counts errors, whatever else its name says.
    if words & {*LOWER}:
        return False
    if words & {*HIGHER}:
        return True
    return None
