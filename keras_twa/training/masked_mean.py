"""Means over the real tokens of all batches."""

import keras
from keras import ops

from keras_twa.training import tokens


class MaskedMean(keras.metrics.Metric):
    """A mean over real tokens: each counts the same, whatever its batch.

    Subclasses implement `values`, the contribution of each token. If the label of a
    counted token is not a class, or its predictions contain NaN, the mean is NaN.

    Args:
        padding_token: The label of padding.
        name: Name of the metric.
    """

    def __init__(self, padding_token, name):
        super().__init__(name=name, dtype="float32")
        tokens.check_padding(padding_token)
        self.padding_token = padding_token
        self.total = self.add_variable((), "zeros", dtype="float32", name="total")
        self.count = self.add_variable((), "zeros", dtype="float32", name="count")

    def values(self, labels, predictions):
        """The contribution of each token, float32 `(B, T)`.

        Args:
            labels: Int32 `(B, T)`: 0 for all tokens that do not count.
            predictions: Float32 `(B, T, V)`, likewise.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `values`.")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch.

        Args:
            y_true: Integer labels `(B, T)`.
            y_pred: Predictions `(B, T, V)`.
            sample_weight: `(B, T)`, `(B, 1)` or `(B,)`.
        """
        labels, predictions = tokens.read(y_true, y_pred)
        mask = tokens.mask_of(y_pred)
        labels, predictions, weights = tokens.counted(
            labels, predictions, self.padding_token, sample_weight, mask
        )
        undefined = ops.logical_or(
            tokens.outside(labels, predictions.shape[-1]),
            ops.any(ops.isnan(predictions), axis=-1),
        )
        values = self.values(labels, predictions) * weights
        values = ops.where(undefined, float("nan"), values)
        self.total.assign(self.total + ops.sum(values))
        self.count.assign(self.count + ops.sum(weights))

    def result(self):
        return ops.divide_no_nan(self.total.value, self.count.value)

    def get_config(self):
        return {"padding_token": self.padding_token, "name": self.name}
