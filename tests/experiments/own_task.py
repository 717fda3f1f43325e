"""A task as a user writes one: the mean of a series, with arrays as rows."""

import keras
import numpy as np

from keras_twa import layers
from keras_twa.tasks import ArrayRows
from keras_twa.tasks import Metric
from keras_twa.tasks import Settings
from keras_twa.tasks import Task


def load(data, settings, progress):
    """Series of random numbers, and their means with noise."""
    rng = np.random.default_rng(settings.data_seed)
    splits = {}
    for name, rows in (("train", 70), ("validation", 20), ("test", 30)):
        x = rng.normal(size=(rows, settings.options["length"], 3)).astype("float32")
        y = x.mean(axis=(1, 2)) + rng.normal(scale=0.01, size=rows)
        splits[name] = (x, y.astype("float32"), None)
    return ArrayRows(splits, source="random numbers")


def build_model(attention, settings, rows):
    """Two blocks, and the mean of their outputs."""
    x = keras.Input(rows.splits["train"][0].shape[1:])
    y = keras.layers.Dense(settings.embedding_dim)(x)
    for each in layers.each_block(attention, settings.num_layers):
        y = layers.TransformerEncoder(16, settings.num_heads, each)(y)
    y = keras.layers.GlobalAveragePooling1D()(y)
    return keras.Model(x, keras.layers.Dense(1)(y))


def baselines(rows):
    """The error of always giving the mean of the training rows."""
    _, train, _ = rows.splits["train"]
    _, test, _ = rows.splits["test"]
    return {"mean": float(np.abs(test - train.mean()).mean())}


TASK = Task(
    name="means",
    title="means of series",
    load=load,
    build_model=build_model,
    loss=lambda: keras.losses.MeanSquaredError(),
    metrics=lambda: [keras.metrics.MeanAbsoluteError(name="error")],
    metric=Metric("error", higher_is_better=False, percent=False),
    baselines=baselines,
    explanations={"mean": "the mean of the training rows, always"},
    options={"length": 6},
    presets={
        "quick": Settings(
            embedding_dim=8,
            num_heads=2,
            num_layers=2,
            batch_size=16,
            epochs=12,
            learning_rate=1e-2,
            options={"length": 6},
        )
    },
)
# The same with a metric that is no mean over rows.
RANKED = Task(
    **{
        **{name: getattr(TASK, name) for name in ("load", "build_model", "loss")},
        "name": "ranked",
        "presets": TASK.presets,
        "options": TASK.options,
        "metrics": lambda: [keras.metrics.R2Score(name="r2")],
        "metric": Metric("r2", percent=False),
    }
)
