"""The perplexity of a language model."""

import keras
from keras import ops

from keras_twa.training import tokens
from keras_twa.training.masked_mean import MaskedMean


@keras.saving.register_keras_serializable(package="keras_twa")
class Perplexity(MaskedMean):
    """The exponential of the mean cross-entropy of real tokens.

    `exp(sum_i w_i l_i / sum_i w_i)` over all tokens of all batches, where
    `l_i = -log softmax(z_i)_{y_i}`, and `w_i` is 0 for padding and for steps that a
    Keras mask on the predictions hides, else 1 or the sample weight. It is the
    perplexity of the whole text, not a mean over batches. If no token counts, it is 0.
    If the label of a counted token is not a class, or its predictions contain NaN, it
    is NaN.

    Its logarithm to base 2 is the number of bits per token.

    On JAX, Keras does not pass masks to metrics in `fit`. Give such steps the label of
    padding there, or weights of 0 (`weighted_metrics`).

    Args:
        padding_token: The label of padding. Defaults to 0.
        from_logits: Whether predictions are logits (default), or probabilities.
        name: Name of the metric.

    Call arguments:
        y_true: Integer labels `(B, T)`.
        y_pred: Predictions `(B, T, V)`.
        sample_weight: `(B, T)`, `(B, 1)` or `(B,)`.

    Returns:
        The perplexity so far, a float32 scalar.

    Raises:
        ValueError: If shapes do not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.training import Perplexity
    >>> labels, logits = np.array([[3, 1, 0, 0]]), np.zeros((1, 4, 8), "float32")
    >>> round(float(Perplexity()(labels, logits)), 3)
    8.0

    Reference:
        [Jelinek et al., 1977](https://doi.org/10.1121/1.2016299)
    """

    def __init__(self, padding_token=0, from_logits=True, name="perplexity"):
        super().__init__(padding_token, name)
        self.from_logits = from_logits

    def values(self, labels, predictions):
        return tokens.crossentropy(labels, predictions, self.from_logits)

    def result(self):
        perplexity = ops.exp(super().result())
        return ops.where(self.count.value > 0.0, perplexity, 0.0)

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}
