"""Normalisation that can be differentiated twice on every backend."""

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


def gated_norm(heads, scale, gate, epsilon):
    """Divides each head by its root mean square, and multiplies it by a gate.

    Args:
        heads: Float32 `(B, T, H, D)`.
        scale: Factors of the channels, a variable `(D,)`.
        gate: `(B, T, H, D)`, before its activation, which is SiLU.
        epsilon: Added to the mean square.

    Returns:
        `(B, T, H, D)` in the dtype of `gate`.
    """
    scale = ops.cast(scale, "float32")
    heads = ops.rms_normalization(heads, scale, epsilon=epsilon)
    return ops.cast(heads, gate.dtype) * ops.silu(gate)
