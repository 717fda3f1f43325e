"""Tasks on series: their models, losses, metrics and baselines."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_twa.tasks import presets
from keras_twa.tasks.series_rows import SeriesRows
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Task
from keras_twa.tasks.token_classifier import MAJORITY
from keras_twa.tasks.token_classifier import accuracy
from keras_twa.tasks.token_classifier import cross_entropy
from keras_twa.tasks.token_classifier import majority

# A model of minutes on two cores.
QUICK: dict[str, Any] = {
    "num_train": None,
    "num_validation": None,
    "num_test": None,
    "embedding_dim": 32,
    "num_heads": 2,
    "intermediate_dim": 64,
    "dropout": 0.1,
    "schedule": "cosine",
    "batch_size": 32,
    "learning_rate": 2e-3,
    "epochs": 40,
    "patience": 40,
}
MEDIAN = {"median": "the median target of the training series, always"}


def series_classification(**facts: Any) -> Task:
    """Returns a task that classifies series, compared by accuracy.

    Args:
        **facts: The other arguments of `Task`.
    """
    return Task(
        **{
            "build_model": _build,
            "loss": cross_entropy,
            "metrics": accuracy,
            "baselines": majority,
            "explanations": MAJORITY,
            "presets": {"quick": Settings(**QUICK)},
            "models": MODELS,
            "used": USED,
            **facts,
        }
    )


def series_regression(**facts: Any) -> Task:
    """Returns a task that predicts a number for each series.

    Models are trained on the squared error, and compared by the mean absolute error.

    Args:
        **facts: The other arguments of `Task`.
    """
    return Task(
        **{
            "build_model": _build,
            "loss": squared_error,
            "metrics": _absolute_error,
            "metric": Metric(
                "mean_absolute_error", higher_is_better=False, percent=False
            ),
            "baselines": median,
            "explanations": MEDIAN,
            "presets": {"quick": Settings(**QUICK)},
            "models": MODELS,
            "used": USED,
            **facts,
        }
    )


def median(rows: SeriesRows) -> dict[str, float]:
    """Returns the mean absolute test error of the median target."""
    train, test = rows.splits["train"][1], rows.splits["test"][1]
    return {"median": float(np.mean(np.abs(test - np.median(train))))}


def _build(attention: Any, settings: Settings, rows: SeriesRows) -> Any:
    from keras_twa.tasks.series_model import build_transformer

    return build_transformer(attention, settings, rows)


def _build_gru(settings: Settings, rows: SeriesRows) -> Any:
    from keras_twa.tasks.series_model import build_gru

    return build_gru(settings, rows)


def squared_error() -> Any:
    """Returns the loss of predicted numbers, of which rows of weight 0 are no part."""
    import keras

    return keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")


def _absolute_error() -> list[Any]:
    import keras

    return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]


MODELS: Mapping[str, Any] = {"gru": _build_gru}
# Settings that have an effect on these tasks.
USED = (*presets.TRANSFORMER, *presets.TRAINING)
