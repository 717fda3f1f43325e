"""Which tokens of a batch count, and what each of them costs."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.masks import both
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding


def read(y_true, y_pred):
    """Labels as int32 `(B, T)` and predictions as float32 `(B, T, V)`."""
    labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
    predictions = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    checks.labels(labels, predictions)
    return labels, predictions


def weigh(labels, padding_token, sample_weight=None, mask=None):
    """What each token counts, float32 `(B, T)`; padding counts nothing.

    Args:
        labels: Integer `(B, T)`.
        padding_token: The label of padding.
        sample_weight: `(B, T)`, `(B, 1)` or `(B,)`, or `None`.
        mask: Boolean `(B, T)`, `True` for real steps, or `None`.
    """
    real = both(is_real(labels, padding_token), mask)
    weights = ops.cast(real, "float32")
    if sample_weight is None:
        return weights
    sample_weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    if len(sample_weight.shape) == 1:
        sample_weight = sample_weight[:, None]
    # Where nothing counts, a weight that is not finite does not either.
    return ops.where(real, weights * sample_weight, 0.0)


def is_real(labels, padding_token):
    """Which labels are no padding, boolean `(B, T)`."""
    return ops.not_equal(labels, padding_token)


def mask_of(y_pred):
    """The mask that rides on predictions, boolean `(B, T)`, or `None`."""
    mask = carried_mask(y_pred)
    return None if mask is None else ops.cast(mask, "bool")


def crossentropy(
    labels, predictions, padding_token, from_logits=True, label_smoothing=0.0
):
    """Cross-entropy in nats of each token, float32 `(B, T)`, finite in padding too.

    Args:
        labels: Integer `(B, T)`.
        predictions: Float32 `(B, T, V)`: logits, or probabilities.
        padding_token: The label of padding.
        from_logits: Whether the predictions are logits.
        label_smoothing: Share of each label that is spread over all V classes.
    """
    real = is_real(labels, padding_token)
    labels = ops.where(real, labels, 0)
    logits = hide_padding(predictions, real)
    if not from_logits:
        logits = ops.log(ops.maximum(logits, keras.config.epsilon()))
    cost = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    if label_smoothing:
        spread = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        cost = (1.0 - label_smoothing) * cost + label_smoothing * spread
    return cost
