"""The feed-forward network of a Transformer block."""

import keras

from keras_twa.layers import checks
from keras_twa.layers.quantized import dtype_config

# Gated activations, and the function that each applies.
GATED = {"swiglu": "silu", "geglu": "gelu"}


@keras.saving.register_keras_serializable(package="keras_twa")
class FeedForward(keras.layers.Layer):
    """Dense layers applied to each step: `W2 activation(W1 x)`.

    The activations "swiglu" and "geglu" add a gate: `W2 (silu(W1 x) * V x)`, or the
    same with `gelu`. At two thirds of the width, such a network has as many weights as
    one without.

    Args:
        intermediate_dim: Width of `W1 x`.
        activation: Activation of `W1 x`: a Keras activation, "swiglu" or "geglu".
            Defaults to "relu".
        dropout: Dropout rate before `W2`. Defaults to 0.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.

    Call arguments:
        inputs: `(B, T, F)`.
        training: Whether dropout is active.
        padding_mask: Boolean `(B, T)`. Not used here: steps are independent.

    Returns:
        `(B, T, F)`.

    Raises:
        ValueError: If `intermediate_dim` is not positive, `dropout` is not in [0, 1),
            or the activation is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import FeedForward
    >>> tuple(FeedForward(32, "swiglu")(np.zeros((2, 7, 4), "float32")).shape)
    (2, 7, 4)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762);
        [Shazeer, 2020](https://arxiv.org/abs/2002.05202) on the gates.
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
        self.activation = activation_of(activation)
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        function = ungated(self.activation)
        self.expand = self._dense("expand", self.intermediate_dim, function)
        self.expand.build(inputs_shape)
        self.gate = None
        if has_gate(self.activation):
            self.gate = self._dense("gate", self.intermediate_dim)
            self.gate.build(inputs_shape)
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.project = self._dense("project", inputs_shape[-1])
        self.project.build((*inputs_shape[:-1], self.intermediate_dim))

    def call(self, inputs, training=None, padding_mask=None):
        x = self.expand(inputs)
        if self.gate is not None:
            x = x * self.gate(inputs)
        return self.project(self.drop(x, training=training))

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def _dense(self, name, units, activation=None):
        return keras.layers.Dense(
            units,
            activation=activation,
            # A shared initializer would give all kernels the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            bias_initializer=self.bias_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def get_config(self):
        return {
            **super().get_config(),
            **dtype_config(self),
            "intermediate_dim": self.intermediate_dim,
            "activation": serialized_activation(self.activation),
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def has_gate(activation):
    """Whether an activation is the name of a gated one."""
    return isinstance(activation, str) and activation in GATED


def activation_of(identifier):
    """The function of a Keras identifier, or the name of a gated activation."""
    return identifier if has_gate(identifier) else keras.activations.get(identifier)


def ungated(activation):
    """An activation without its gate."""
    return GATED[activation] if has_gate(activation) else activation


def serialized_activation(activation):
    """An activation in the form that `activation_of` accepts."""
    if has_gate(activation):
        return activation
    return keras.activations.serialize(activation)
