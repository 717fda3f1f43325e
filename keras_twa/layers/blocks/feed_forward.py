"""The position-wise network of a Transformer block."""

import keras

from keras_twa.layers import checks


@keras.saving.register_keras_serializable(package="keras_twa")
class FeedForward(keras.layers.Layer):
    """Two dense layers applied to each step: `W2 activation(W1 x)`.

    Args:
        intermediate_dim: Width between the two.
        activation: Activation between the two. Defaults to "relu".
        dropout: Dropout rate after the activation. Defaults to 0.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.

    Call arguments:
        inputs: `(B, T, F)`.
        training: Whether dropout is active.
        padding_mask: Boolean `(B, T)`. Not used here: each step is on its own.

    Returns:
        `(B, T, F)`.

    Raises:
        ValueError: If `intermediate_dim` is not positive or `dropout` no rate.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import FeedForward
    >>> tuple(FeedForward(32)(np.zeros((2, 7, 4), "float32")).shape)
    (2, 7, 4)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
    """

    def __init__(
        self,
        intermediate_dim,
        activation="relu",
        dropout=0.0,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.positive_integer(intermediate_dim=intermediate_dim)
        checks.probability(dropout=dropout)
        self.intermediate_dim = intermediate_dim
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        self.expand = self._dense("expand", self.intermediate_dim, self.activation)
        self.expand.build(inputs_shape)
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.project = self._dense("project", inputs_shape[-1])
        self.project.build((*inputs_shape[:-1], self.intermediate_dim))

    def call(self, inputs, training=None, padding_mask=None):
        return self.project(self.drop(self.expand(inputs), training=training))

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def _dense(self, name, units, activation=None):
        def clone(initializer):
            return type(initializer).from_config(initializer.get_config())

        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=clone(self.kernel_initializer),
            bias_initializer=clone(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
