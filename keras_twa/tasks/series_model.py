"""Models for series with times: Transformer encoders, and a recurrent network."""

from typing import Any

from keras_twa.tasks.series_rows import SeriesRows
from keras_twa.tasks.settings import Settings


def build_transformer(attention: Any, settings: Settings, rows: SeriesRows) -> Any:
    """Returns an encoder whose blocks get the times, and a mean over time steps.

    All mechanisms get the times as sines and cosines in their input. Those that use
    positions also get the times themselves.

    Args:
        attention: What `attention` of a block may be.
        settings: The `Settings`.
        rows: The rows of the task.
    """
    import keras

    from keras_twa import layers

    values, times, mask = _inputs(rows)
    x = keras.layers.Dense(settings.embedding_dim)(values)
    x = layers.SinusoidalPositions()(x, positions=times)
    for each in layers.each_block(attention, settings.num_layers):
        block = layers.TransformerEncoder(
            intermediate_dim=settings.intermediate_dim,
            num_heads=settings.num_heads,
            attention=each,
            dropout=settings.dropout,
            normalize_first=True,
        )
        x = block(x, padding_mask=mask, positions=times)
    x = keras.layers.LayerNormalization()(x)
    return _with_head(x, rows, [values, times, mask])


def build_gru(settings: Settings, rows: SeriesRows) -> Any:
    """Returns a GRU of as many layers, which gets the times between the steps.

    Args:
        settings: The `Settings`.
        rows: The rows of the task.
    """
    import keras
    from keras import ops

    values, times, mask = _inputs(rows)
    waits = ops.pad(times[:, 1:] - times[:, :-1], ((0, 0), (1, 0)))
    waits = ops.where(mask, waits, 0.0)
    x = keras.layers.Concatenate()([values, waits[..., None]])
    for _ in range(settings.num_layers):
        gru = keras.layers.GRU(
            settings.embedding_dim, return_sequences=True, dropout=settings.dropout
        )
        x = gru(x, mask=mask)
    return _with_head(x, rows, [values, times, mask])


def _inputs(rows: SeriesRows) -> tuple[Any, Any, Any]:
    import keras

    inputs = rows.splits["train"][0]
    return tuple(
        keras.Input(inputs[name].shape[1:], dtype=inputs[name].dtype.name, name=name)
        for name in ("values", "times", "mask")
    )


def _with_head(x: Any, rows: SeriesRows, inputs: list[Any]) -> Any:
    """The model with a mean over time steps, and its logits or its prediction."""
    import keras

    values, times, mask = inputs
    x = keras.layers.GlobalAveragePooling1D()(x, mask=mask)
    if rows.classes is not None:
        outputs = keras.layers.Dense(len(rows.classes))(x)
    else:
        targets = rows.splits["train"][1]
        outputs = keras.layers.Dense(1)(x)
        # Predictions start at the scale of the targets, whatever their unit is.
        outputs = keras.layers.Rescaling(
            float(targets.std()) or 1.0, float(targets.mean())
        )(outputs)
        outputs = keras.layers.Reshape(())(outputs)
    return keras.Model({"values": values, "times": times, "mask": mask}, outputs)
