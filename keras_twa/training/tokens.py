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
    """Decides which tokens count, and how much.

    Args:
        labels: Integer `(B, T)`.
        padding_token: The label of padding.
        sample_weight: `(B, T)`, `(B, 1)` or `(B,)`, or `None`.
        mask: Boolean `(B, T)`, `True` for real steps, or `None`.

    Returns:
        The labels, with `padding_token` for all tokens that do not count: padding,
        steps that the mask hides, and those of weight 0. And the weights, float32
        `(B, T)`, which are 0 there.

    Raises:
        ValueError: If the shape of the weights does not fit.
    """
    real = both(ops.not_equal(labels, padding_token), mask)
    weights = ops.cast(real, "float32")
    if sample_weight is not None:
        given = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
        checks.sample_weight(given, labels)
        given = given[:, None] if len(given.shape) == 1 else given
        # Not a product: the weight of padding may be infinite or NaN.
        weights = ops.where(real, given, 0.0)
    return ops.where(ops.equal(weights, 0.0), padding_token, labels), weights


def mask_of(y_pred):
    """The mask that rides on predictions, boolean `(B, T)`, or `None`."""
    mask = carried_mask(y_pred)
    return None if mask is None else ops.cast(mask, "bool")


def crossentropy(
    labels, predictions, padding_token, from_logits=True, label_smoothing=0.0
):
    """Cross-entropy in nats of each token, float32 `(B, T)`.

    Predictions of padding are not read: the result is finite there, even if they are
    not.

    Args:
        labels: Integer `(B, T)`.
        predictions: Float32 `(B, T, V)`: logits, or probabilities.
        padding_token: The label of padding.
        from_logits: Whether the predictions are logits.
        label_smoothing: Share of each label that is spread over all V classes.
    """
    real = ops.not_equal(labels, padding_token)
    labels = ops.where(real, labels, 0)
    logits = hide_padding(predictions, real)
    if not from_logits:
        logits = ops.log(ops.maximum(logits, keras.config.epsilon()))
    cost = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    if label_smoothing:
        spread = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        cost = (1.0 - label_smoothing) * cost + label_smoothing * spread
    return cost
