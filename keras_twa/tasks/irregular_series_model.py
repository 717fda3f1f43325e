"""Models and metric for forecasts of irregularly sampled series."""

from typing import Any

import keras
from keras import ops

from keras_twa import layers
from keras_twa.mechanism import Mechanism
from keras_twa.mechanism import parse
from keras_twa.tasks.array_rows import ArrayRows
from keras_twa.tasks.settings import Settings

# The total width of the heads relative to the model, for mechanisms that have more or
# fewer projections than others. All models have about the same number of weights.
WIDTHS = {
    "multi_timescale": 1 / 3,
    "gravitational_multi_timescale": 1 / 3,
    "block_recurrent": 0.36,
    "multi_timescale_retention": 1 / 2,
    "retention": 3 / 4,
    "gated_delta": 3 / 4,
    "gated_linear": 11 / 16,
    "transformer_xl": 7 / 8,
    "latent": 9 / 8,
    "lsh": 4 / 3,
}


class UnexplainedVariance(keras.metrics.R2Score):
    """The mean squared error as a share of the variance of the targets."""

    def result(self) -> Any:
        return 1.0 - super().result()


def build_transformer(
    attention: Any, settings: Settings, rows: ArrayRows, sees_times: bool = True
) -> Any:
    """Returns an encoder, whose output at the step of the forecast is the forecast.

    Each observation comes with sines and cosines of its time. Mechanisms that use
    positions also get the times themselves.

    Args:
        attention: The text of a mechanism, or what else `attention` of a block may be.
        settings: The `Settings`.
        rows: The rows of the task.
        sees_times: Whether the model gets times. Otherwise, it gets indices of steps.
    """
    values, times = _inputs(rows)
    seen = times if sees_times else None
    x = keras.layers.Dense(settings.embedding_dim)(values)
    x = layers.SinusoidalPositions()(x, positions=seen)
    for each in layers.each_block(attention, settings.num_layers):
        block = layers.TransformerEncoder(
            intermediate_dim=settings.intermediate_dim,
            num_heads=settings.num_heads,
            attention=_attention(each, settings),
            dropout=settings.dropout,
            activation="gelu",
            normalize_first=True,
        )
        x = block(x, positions=seen)
    x = keras.layers.LayerNormalization()(x[:, -1])
    return _with_head(x, values, times)


def build_gru(settings: Settings, rows: ArrayRows) -> Any:
    """Returns a GRU of about as many weights, which gets the times between steps.

    Args:
        settings: The `Settings`.
        rows: The rows of the task.
    """
    values, times = _inputs(rows)
    waits = ops.pad(times[:, 1:] - times[:, :-1], ((0, 0), (1, 0)))
    x = keras.layers.Concatenate()([values, waits[..., None]])
    for block in range(settings.num_layers):
        x = keras.layers.GRU(
            4 * settings.embedding_dim // 3,
            return_sequences=block < settings.num_layers - 1,
            dropout=settings.dropout,
        )(x)
    return _with_head(x, values, times)


def _attention(attention: Any, settings: Settings) -> Any:
    """The layer of a mechanism, with heads as wide as its number of weights allows."""
    if not isinstance(attention, str):
        return attention
    found = parse(attention)
    share = WIDTHS.get(found.name, 1) if isinstance(found, Mechanism) else 1
    width = int(share * settings.embedding_dim) // settings.num_heads
    return layers.get(attention, num_heads=settings.num_heads, key_dim=max(1, width))


def _inputs(rows: ArrayRows) -> tuple[Any, Any]:
    inputs = rows.splits["train"][0]
    values, times = (
        keras.Input(inputs[name].shape[1:], name=name) for name in ("values", "times")
    )
    return values, times


def _with_head(x: Any, values: Any, times: Any) -> Any:
    return keras.Model(
        {"values": values, "times": times}, keras.layers.Dense(1)(x), name="forecast"
    )
