"""Layer normalisation that can be differentiated twice on every backend."""

import keras
from keras import ops

from keras_twa.ops import backend


class LayerNormalization(keras.layers.LayerNormalization):
    """The Keras layer for the last axis, with weights of the same names.

    On TensorFlow, second derivatives of the Keras layer are incomplete.
    """

    def call(self, inputs):
        """Normalises `(..., D)`."""
        outputs = backend.layer_normalization(
            inputs, self.gamma, self.beta, self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)
