"""How many real tokens are predicted right."""

import keras
from keras import ops

from keras_twa.training.masked_mean import MaskedMean


@keras.saving.register_keras_serializable(package="keras_twa")
class MaskedAccuracy(MaskedMean):
    """The share of real tokens whose label has the highest prediction.

    `sum_i w_i [argmax_v z_iv = y_i] / sum_i w_i` over all tokens of all batches, where
    `w_i` is 0 for padding and for steps that a Keras mask on the predictions hides,
    else 1 or the sample weight. If no token counted, it is 0. If one counted whose
    label is no class, or whose predictions hold NaN, it is NaN.

    On JAX, Keras hands no mask on to metrics in `fit`: give steps that do not count the
    label of padding there, or weights of 0 (`weighted_metrics`).

    Args:
        padding_token: The label of padding. Defaults to 0.
        name: Name of the metric.

    Call arguments:
        y_true: Integer labels `(B, T)`.
        y_pred: Predictions `(B, T, V)`.
        sample_weight: `(B, T)`, `(B, 1)` or `(B,)`.

    Returns:
        The share so far, a float32 scalar.

    Raises:
        ValueError: If shapes do not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.training import MaskedAccuracy
    >>> accuracy = MaskedAccuracy()
    >>> labels, predictions = np.array([[2, 1, 0]]), np.eye(3)[[[2, 2, 2]]]
    >>> float(accuracy(labels, predictions))
    0.5
    """

    def __init__(self, padding_token=0, name="masked_accuracy"):
        super().__init__(padding_token, name)

    def values(self, labels, predictions):
        found = ops.cast(ops.argmax(predictions, axis=-1), "int32")
        return ops.cast(ops.equal(found, labels), "float32")
