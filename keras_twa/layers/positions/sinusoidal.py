"""Sinusoidal position embeddings."""

import math

import keras
from keras import ops

from keras_twa.layers import checks


@keras.saving.register_keras_serializable(package="keras_twa")
class SinusoidalPositions(keras.layers.Layer):
    """Adds sines and cosines of the positions to its input.

    With F features and i = 0 ... ceil(F/2) - 1, feature `2i` gets
    `sin(t / max_wavelength^(2i/F))` and feature `2i + 1` the cosine.

    The angles are computed in float32 whatever the policy: in bfloat16, half of
    the first 1,024 positions would coincide.

    Args:
        max_wavelength: The longest wavelength is 2 pi times this. Defaults to
            10,000.

    Call arguments:
        inputs: `(B, T, F)`.
        positions: Times `(T,)` or `(B, T)`. Defaults to 0 ... T-1.

    Returns:
        `(B, T, F)`: the inputs plus the embeddings.

    Raises:
        ValueError: If `max_wavelength` is not positive, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import SinusoidalPositions
    >>> embedded = SinusoidalPositions()(np.zeros((1, 4, 6), "float32"))
    >>> [round(float(x), 3) for x in embedded[0, 1, :2]]
    [0.841, 0.54]

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
    """

    def __init__(self, max_wavelength=10_000, **kwargs):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        checks.positive_number(max_wavelength=max_wavelength)
        self.max_wavelength = max_wavelength
        self.supports_masking = True

    def call(self, inputs, positions=None):
        if positions is None:
            positions = ops.arange(0, ops.shape(inputs)[1], dtype="float32")
        checks.positions("positions", positions, inputs)
        features = inputs.shape[-1]
        pairs = -(-features // 2)
        frequencies = ops.exp(
            ops.multiply(
                ops.arange(0, pairs, dtype="float32"),
                -2.0 * math.log(self.max_wavelength) / features,
            )
        )
        angles = ops.multiply(ops.cast(positions, "float32")[..., None], frequencies)
        # Sine and cosine side by side, then interleaved: (..., T, pairs, 2)
        waves = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
        waves = ops.reshape(waves, (*ops.shape(angles)[:-1], 2 * pairs))
        inputs = ops.cast(inputs, self.compute_dtype)
        return inputs + ops.cast(waves[..., :features], self.compute_dtype)

    def compute_output_shape(self, inputs_shape, positions_shape=None):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}
