"""Random symbols in reverse order: each output depends on a position alone."""

from typing import Any

import numpy as np

from keras_twa.tasks import presets
from keras_twa.tasks.array_rows import SPLITS
from keras_twa.tasks.array_rows import ArrayRows
from keras_twa.tasks.generated import GENERATED
from keras_twa.tasks.generated import check_generated
from keras_twa.tasks.rows_right import rows_right
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task
from keras_twa.tasks.token_classifier import cross_entropy

SYMBOLS = 16


def load(data: str, settings: Settings, progress: Progress | None = None) -> ArrayRows:
    """Returns the rows: `max_length` random symbols each, and the same ones reversed.

    Args:
        data: `"auto"` or `"generated"`.
        settings: The `Settings`.
        progress: Not called: this takes no time.

    Raises:
        ValueError: If `data` is something else, or the number of rows is `None`.
    """
    check_generated("Random symbols", data, settings)
    splits = {}
    for number, name in enumerate(SPLITS):
        count = settings.value(f"num_{name}")
        rng = np.random.default_rng((settings.data_seed, number))
        rows = rng.integers(SYMBOLS, size=(count, settings.max_length), dtype="int32")
        splits[name] = (rows, rows[:, ::-1], None)
    return ArrayRows(splits, source="random symbols", data=GENERATED)


def build_model(attention: Any, settings: Settings, rows: ArrayRows) -> Any:
    """Returns a functional model of encoder blocks, with a class for each step.

    Args:
        attention: What `attention` of a block may be.
        settings: The `Settings`.
        rows: The rows of the task.
    """
    import keras

    from keras_twa import layers

    inputs = keras.Input((settings.max_length,), dtype="int32")
    x = keras.layers.Embedding(SYMBOLS, settings.embedding_dim)(inputs)
    x = layers.SinusoidalPositions()(x)
    for each in layers.each_block(attention, settings.num_layers):
        x = layers.TransformerEncoder(
            intermediate_dim=settings.intermediate_dim,
            num_heads=settings.num_heads,
            attention=each,
            dropout=settings.dropout,
            normalize_first=True,
        )(x)
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(inputs, keras.layers.Dense(SYMBOLS)(x))


def metrics() -> list[Any]:
    """Returns the shares of symbols and of sequences that are right."""
    import keras

    symbols = keras.metrics.SparseCategoricalAccuracy(name="symbols_right")
    return [symbols, rows_right("sequences_right")]


def baselines(rows: ArrayRows) -> dict[str, float]:
    """Returns the share of symbols that a random choice gets right."""
    return {"chance": 1 / SYMBOLS}


SEQUENCE_REVERSAL = Task(
    name="sequence_reversal",
    title="the reversal of sequences",
    load=load,
    build_model=build_model,
    loss=cross_entropy,
    metrics=metrics,
    metric=Metric("symbols_right"),
    baselines=baselines,
    explanations={"chance": f"one of the {SYMBOLS} symbols, at random"},
    caveats=(
        "A causal mechanism sees the symbols of the second half only when it is too "
        "late to return them.",
    ),
    presets={
        "quick": Settings(
            num_train=4_096,
            num_validation=512,
            num_test=1_024,
            max_length=24,
            embedding_dim=64,
            intermediate_dim=128,
            dropout=0.0,
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=0.004,
            epochs=8,
        )
    },
    used=(
        "max_length",
        *presets.COUNTS,
        *presets.TRANSFORMER,
        *presets.TRAINING,
    ),
)
