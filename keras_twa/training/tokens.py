"""Which tokens of a batch count, and the loss of each."""

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.masks import both
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding

# Of an int32.
LOWEST, HIGHEST = -(2**31), 2**31 - 1
# Replaces labels that are not an int32. It is never the label of padding.
NO_CLASS = LOWEST


def check_padding(padding_token):
    """Raises `ValueError` unless the label of padding is an int32 but `NO_CLASS`."""
    checks.integer(padding_token=padding_token)
    if not NO_CLASS < padding_token <= HIGHEST:
        raise ValueError(
            f"`padding_token` must be from {NO_CLASS + 1} to {HIGHEST}. "
            f"Received: padding_token={padding_token}"
        )


def read(y_true, y_pred):
    """Labels as int32 `(B, T)` and predictions as float32 `(B, T, V)`.

    A label that is not equal to an int32, such as 0.5, NaN or 2^40, becomes `NO_CLASS`,
    which is outside of the classes. A cast alone would change it into another label.
    """
    if isinstance(y_true, list | tuple | np.ndarray):
        y_true = np.asarray(y_true)
        if y_true.dtype == "int64":
            # JAX would keep the lower 32 bits only.
            y_true = np.clip(y_true, LOWEST, HIGHEST)
    given = ops.convert_to_tensor(y_true)
    labels = ops.cast(given, "int32")
    whole = ops.equal(ops.cast(labels, given.dtype), given)
    labels = ops.where(whole, labels, NO_CLASS)
    predictions = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    checks.labels(labels, predictions)
    return labels, predictions


def counted(labels, predictions, padding_token, sample_weight=None, mask=None):
    """Decides which tokens count, and how much.

    Args:
        labels: Int32 `(B, T)`.
        predictions: Float32 `(B, T, V)`.
        padding_token: The label of padding.
        sample_weight: `(B, T)`, `(B, 1)` or `(B,)`, or `None`.
        mask: Boolean `(B, T)`, `True` for real steps, or `None`.

    Returns:
        Labels, predictions and weights, float32 `(B, T)`. All three are 0 for tokens
        that do not count: padding, steps that the mask hides, and those of weight 0.

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
        real = ops.not_equal(weights, 0.0)
    return ops.where(real, labels, 0), hide_padding(predictions, real), weights


def outside(labels, classes):
    """Which labels are not a class, boolean `(B, T)`."""
    return ops.logical_or(ops.less(labels, 0), ops.greater_equal(labels, classes))


def mask_of(y_pred):
    """The mask attached to predictions, boolean `(B, T)`, or `None`."""
    mask = carried_mask(y_pred)
    return None if mask is None else ops.cast(mask, "bool")


def crossentropy(labels, predictions, from_logits=True, label_smoothing=0.0):
    """Cross-entropy in nats of each token, float32 `(B, T)`.

    For a label outside of the classes, the loss and its gradients are NaN: a compiled
    graph cannot raise an error, and any number would be wrong.

    Args:
        labels: Int32 `(B, T)`.
        predictions: Float32 `(B, T, V)`: logits, or probabilities.
        from_logits: Whether the predictions are logits.
        label_smoothing: Share of each label that is distributed over all V classes.
    """
    wrong = outside(labels, predictions.shape[-1])
    labels = ops.where(wrong, 0, labels)
    logits = predictions
    if not from_logits:
        logits = ops.log(ops.maximum(logits, keras.config.epsilon()))
    cost = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    if label_smoothing:
        spread = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        cost = (1.0 - label_smoothing) * cost + label_smoothing * spread
    # A product, not `ops.where`, which would have a gradient of 0.
    return cost * ops.where(wrong, float("nan"), 1.0)
