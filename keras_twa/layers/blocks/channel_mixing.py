"""The feed-forward network of an RWKV block."""

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.blocks.packed import real_and_segments
from keras_twa.masks import boolean
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding
from keras_twa.ops import previous_real
from keras_twa.ops.segments import runs


@keras.saving.register_keras_serializable(package="keras_twa")
class ChannelMixing(keras.layers.Layer):
    """The channel mixing of RWKV: a gated network that also sees the step before.

    `sigmoid(W_r x_r) * (W_v relu(W_k x_k)^2)`, where `x_r` and `x_k` are weighted means
    of a step's input and that of the real step before it, with a weight learned for
    each channel. The layer is causal.

    Args:
        intermediate_dim: Width of `W_k x_k`.
        dropout: Dropout rate after the squared relu. Defaults to 0.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        use_bias: Whether there are biases (the paper has none). Defaults to `True`.

    Call arguments:
        inputs: `(B, T, F)`.
        training: Whether dropout is active.
        padding_mask: Boolean `(B, T)`, `True` for real steps. Defaults to the mask that
            the inputs carry.
        previous: The input of the last real step of an earlier call `(B, F)`. Defaults
            to zeros.
        return_last: Whether to return the input of the last real step too.
        segment_ids: Integer `(B, T)`, the segments of packed rows, 0 for padding. The
            first step of a segment has no step before it. Not with `previous` or
            `return_last`.

    Returns:
        `(B, T, F)`; with `return_last`, also `(B, F)`.

    Raises:
        ValueError: If `intermediate_dim` is not positive, `dropout` is not in [0, 1),
            a shape does not fit, or packed rows come with `previous` or `return_last`.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import ChannelMixing
    >>> tuple(ChannelMixing(32)(np.zeros((2, 7, 4), "float32")).shape)
    (2, 7, 4)

    Reference:
        [Peng et al., 2023](https://arxiv.org/abs/2305.13048)
    """

    def __init__(
        self,
        intermediate_dim,
        dropout=0.0,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        use_bias=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.positive_integer(intermediate_dim=intermediate_dim)
        checks.probability(dropout=dropout)
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.use_bias = use_bias
        self.supports_masking = True

    def build(self, inputs_shape):
        width = inputs_shape[-1]
        self.receptance = self._dense("receptance", width)
        self.receptance.build(inputs_shape)
        self.key = self._dense("key", self.intermediate_dim)
        self.key.build(inputs_shape)
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.value = self._dense("value", width)
        self.value.build((*inputs_shape[:-1], self.intermediate_dim))
        self.receptance_shift = self._shift("receptance_shift", width)
        self.key_shift = self._shift("key_shift", width)

    def call(
        self,
        inputs,
        training=None,
        padding_mask=None,
        previous=None,
        return_last=False,
        segment_ids=None,
    ):
        if padding_mask is None:
            padding_mask = carried_mask(inputs)
        checks.padding("padding_mask", padding_mask, inputs)
        if segment_ids is not None:
            checks.segment_ids("segment_ids", segment_ids, inputs)
            if previous is not None or return_last:
                checks.no_state_of_packed_rows(segment_ids, "a state")
        padding_mask, ids = real_and_segments(boolean(padding_mask), segment_ids)
        x = hide_padding(inputs, padding_mask)
        if previous is not None:
            previous = ops.cast(previous, x.dtype)
        run = None if ids is None else runs(ids)
        previous, last = previous_real(x, padding_mask, previous, run)
        gate, key = (
            dense(previous + (x - previous) * ops.cast(shift, x.dtype))
            for dense, shift in (
                (self.receptance, self.receptance_shift),
                (self.key, self.key_shift),
            )
        )
        key = self.drop(ops.square(ops.relu(key)), training=training)
        outputs = ops.cast(ops.sigmoid(gate) * self.value(key), self.compute_dtype)
        return (outputs, last) if return_last else outputs

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def compute_output_spec(self, inputs, return_last=False, **options):
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_last:
            return outputs
        last = (inputs.shape[0], inputs.shape[2])
        return outputs, keras.KerasTensor(last, dtype=self.compute_dtype)

    def _shift(self, name, width):
        """The share of the step itself; initially larger in later channels."""
        return self.add_weight(
            shape=(width,),
            initializer=keras.initializers.Constant(
                (np.arange(width) / width).astype("float32")
            ),
            name=name,
        )

    def _dense(self, name, units):
        return keras.layers.Dense(
            units,
            use_bias=self.use_bias,
            # A shared initializer would give all kernels the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            bias_initializer=self.bias_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "use_bias": self.use_bias,
        }
