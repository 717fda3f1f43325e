"""Forecasts of irregularly sampled series, where the times of observations matter.

A series is an oscillation on a slow drift, both of which change over time. It is
observed with noise, at random times and with gaps. The task is to forecast its value at
a later time.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_twa.datasets import irregular_series
from keras_twa.tasks import presets
from keras_twa.tasks.array_rows import ArrayRows
from keras_twa.tasks.series import squared_error
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task

SOURCE = "generated"
# The task's own settings: the number of observations of a series.
OPTIONS = {"observations": 32}
NAMES = ("train", "validation", "test")


def load(data: str, settings: Settings, progress: Progress | None = None) -> ArrayRows:
    """Returns the rows.

    Args:
        data: "auto" or "generated".
        settings: The `Settings`. `None` as a number of rows means that of `full`.
        progress: Not called: it takes a second.

    Returns:
        `ArrayRows` with the inputs "values", float32 `(rows, T + 1, 2)`, the T
        observations and whether a step asks for the forecast, as the last one does; and
        "times", float32 `(rows, T + 1)`. Targets are float32 `(rows, 1)`.

    Raises:
        ValueError: If `data` is something else.
    """
    if data not in ("auto", SOURCE):
        raise ValueError(
            f"Irregular series are generated: `data` is {SOURCE!r}. "
            f"Received: data={data!r}"
        )
    splits = irregular_series.load_data(
        settings.num_train or FULL["num_train"],
        settings.num_validation or FULL["num_validation"],
        settings.num_test or FULL["num_test"],
        length=settings.options["observations"],
        seed=settings.data_seed,
    )
    return ArrayRows(
        {
            name: (_inputs(inputs), targets[:, None], None)
            for name, (inputs, targets) in zip(NAMES, splits, strict=True)
        },
        source=SOURCE,
        data=SOURCE,
    )


def baselines(rows: ArrayRows) -> dict[str, float]:
    """Returns the unexplained variance of forecasts without training."""
    (train, train_targets), (test, targets) = (
        _observed(rows.splits[name]) for name in ("train", "test")
    )
    weights, *_ = np.linalg.lstsq(_with_one(train["values"]), train_targets)
    forecasts = {
        "mean": np.full_like(targets, train_targets.mean()),
        "last value": test["values"][:, -1],
        "linear, without times": _with_one(test["values"]) @ weights,
        "best possible": irregular_series.exact_forecast(test),
    }
    return {name: unexplained(x, targets) for name, x in forecasts.items()}


def unexplained(forecasts: np.ndarray, targets: np.ndarray) -> float:
    """Returns the mean squared error as a share of the variance of the targets."""
    return float(np.mean((forecasts - targets) ** 2) / np.var(targets))


def _inputs(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    values = np.pad(inputs["values"], ((0, 0), (0, 1)))
    asks = np.zeros_like(values)
    asks[:, -1] = 1.0
    return {"values": np.stack([values, asks], axis=-1), "times": inputs["times"]}


def _observed(split: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The inputs and targets of a split, as they were generated."""
    inputs, targets, _ = split
    values = inputs["values"][:, :-1, 0]
    return {"values": values, "times": inputs["times"]}, targets[:, 0]


def _with_one(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.ones_like(values[:, :1])], axis=1)


def _build(attention: Any, settings: Settings, rows: ArrayRows) -> Any:
    from keras_twa.tasks.irregular_series_model import build_transformer

    return build_transformer(attention, settings, rows)


def _build_without_times(settings: Settings, rows: ArrayRows) -> Any:
    from keras_twa.tasks.irregular_series_model import build_transformer

    return build_transformer("dot_product", settings, rows, sees_times=False)


def _build_gru(settings: Settings, rows: ArrayRows) -> Any:
    from keras_twa.tasks.irregular_series_model import build_gru

    return build_gru(settings, rows)


def _metrics() -> list[Any]:
    from keras_twa.tasks.irregular_series_model import UnexplainedVariance

    return [UnexplainedVariance(name=METRIC.name)]


METRIC = Metric("unexplained_variance", higher_is_better=False)
QUICK: dict[str, Any] = {
    "num_train": 8_192,
    "num_validation": 1_024,
    "num_test": 2_048,
    "embedding_dim": 32,
    "intermediate_dim": 64,
    "num_layers": 2,
    "num_heads": 2,
    "dropout": 0.0,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "warmup_steps": 100,
    "schedule": "inverse_sqrt",
    "weight_decay": 0.0,
    "epochs": 4,
    "options": OPTIONS,
}
FULL: dict[str, Any] = {
    **QUICK,
    "num_train": 65_536,
    "embedding_dim": 64,
    "intermediate_dim": 128,
    "epochs": 30,
    "patience": 30,
}
IRREGULAR_SERIES = Task(
    name="irregular_series",
    title="irregular series",
    load=load,
    build_model=_build,
    loss=squared_error,
    metrics=_metrics,
    metric=METRIC,
    baselines=baselines,
    explanations={
        "mean": "the mean target of the training series, always",
        "last value": "the last observation",
        "linear, without times": "a linear function of the observations",
        "best possible": "the expected value, from the process that made the series",
    },
    caveats=(
        "The unexplained variance is the mean squared error in per cent of the "
        "variance of the targets. Noise keeps it above that of the best forecast.",
    ),
    options=OPTIONS,
    presets={"quick": Settings(**QUICK), "full": Settings(**FULL)},
    models={"dot_product_steps": _build_without_times, "gru": _build_gru},
    used=(*presets.COUNTS, *presets.TRANSFORMER, *presets.TRAINING),
)
