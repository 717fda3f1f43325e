"""The loss of sequence models: cross-entropy of the tokens that are real."""

import keras

from keras_twa.layers import checks
from keras_twa.training import tokens


@keras.saving.register_keras_serializable(package="keras_twa")
class MaskedCrossentropy(keras.losses.Loss):
    """Mean cross-entropy of real tokens, with label smoothing.

    Token `i` costs `l_i = -sum_v q_iv log softmax(z_i)_v`, where `q_iv` is
    `1 - s + s / V` for the label and `s / V` for the other classes, with
    `s = label_smoothing`. The loss is `sum_i w_i l_i / sum_i w_i`, where `w_i` is 0 for
    padding and for steps that a Keras mask on the predictions hides, else 1 or the
    sample weight. Each real token therefore counts the same, whatever the length of its
    sequence. If no token counts, the loss is 0.

    Predictions of tokens that do not count, even NaN, affect neither the loss nor the
    gradients. If any other label is not a class (below 0, V or above, or not a whole
    number), the loss and its gradients are NaN. Everything is computed in float32 in
    every policy.

    Args:
        label_smoothing: Share `s` of each label that is distributed over all V classes,
            in [0, 1). Defaults to 0.
        padding_token: The label of padding. It may be outside of the classes, such as
            -1. Defaults to 0.
        from_logits: Whether predictions are logits (default), or probabilities.
        name: Name of the loss.

    Call arguments:
        y_true: Integer labels `(B, T)`.
        y_pred: Predictions `(B, T, V)`.
        sample_weight: `(B, T)`, `(B, 1)` or `(B,)`. Tokens of weight 0 do not count.

    Returns:
        The loss, a float32 scalar.

    Raises:
        ValueError: If an argument is out of range, or shapes do not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.training import MaskedCrossentropy
    >>> loss = MaskedCrossentropy(label_smoothing=0.1)
    >>> labels, logits = np.array([[3, 1, 0, 0]]), np.zeros((1, 4, 8), "float32")
    >>> round(float(loss(labels, logits)), 4) == round(float(np.log(8)), 4)
    True

    Reference:
        [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567) for label smoothing;
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762) for its use here.
    """

    def __init__(
        self,
        label_smoothing=0.0,
        padding_token=0,
        from_logits=True,
        name="masked_crossentropy",
    ):
        super().__init__(
            name=name, reduction="mean_with_sample_weight", dtype="float32"
        )
        checks.probability(label_smoothing=label_smoothing)
        tokens.check_padding(padding_token)
        self.label_smoothing = label_smoothing
        self.padding_token = padding_token
        self.from_logits = from_logits

    def __call__(self, y_true, y_pred, sample_weight=None):
        labels, predictions = tokens.read(y_true, y_pred)
        mask = tokens.mask_of(y_pred)
        labels, predictions, weights = tokens.counted(
            labels, predictions, self.padding_token, sample_weight, mask
        )
        return super().__call__(labels, predictions, weights)

    def call(self, y_true, y_pred):
        """The loss of each token, float32 `(B, T)`, including padding."""
        labels, predictions = tokens.read(y_true, y_pred)
        return tokens.crossentropy(
            labels, predictions, self.from_logits, self.label_smoothing
        )

    def get_config(self):
        return {
            "label_smoothing": self.label_smoothing,
            "padding_token": self.padding_token,
            "from_logits": self.from_logits,
            "name": self.name,
        }
