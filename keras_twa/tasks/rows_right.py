"""The share of rows that are predicted right from the first token to the last."""

from typing import Any


def rows_right(name: str, padding: int | None = None) -> Any:
    """Returns a Keras metric: the share of rows of which every token is right.

    A token is right if its logit is the highest. Labels have the shape `(B, T)`, and
    logits `(B, T, V)`. Each row counts the same, whatever its length.

    Args:
        name: Name of the metric.
        padding: The label of tokens that do not count. By default, all count.
    """
    import keras
    from keras import ops

    def right(labels: Any, logits: Any) -> Any:
        labels = ops.cast(labels, "int32")
        same = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)
        if padding is not None:
            same = ops.logical_or(same, ops.equal(labels, padding))
        return ops.cast(ops.all(same, axis=-1), "float32")

    return keras.metrics.MeanMetricWrapper(right, name=name)
