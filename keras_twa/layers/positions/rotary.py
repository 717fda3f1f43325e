"""Rotary positions."""

import math

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.positions.bias import batch_of_times
from keras_twa.ops import rotary_rates
from keras_twa.ops import rotate


@keras.saving.register_keras_serializable(package="keras_twa")
class RotaryPositions(keras.layers.Layer):
    """Rotates queries and keys by angles that grow with time (RoPE).

    In each head, channels `2i` and `2i + 1` are rotated by the angle
    `t / max_wavelength^(2i / D)`. The inner product of a query and a key, and their
    distance, then depend on the lag between their times, not on the times themselves.
    This layer is for the `positions` of an attention layer, not for the input of a
    model.

    Angles are float32 whatever the policy. They are accurate to three digits up to
    times of about 10,000: measure times from the start of a sequence, in a unit in
    which neighbours are about 1 apart.

    For sequences longer than in training, `scaling_factor` divides times (position
    interpolation). With `original_length` too, channels that rotate often within that
    length keep their rates, and queries and keys are multiplied by
    `0.1 log(scaling_factor) + 1` (YaRN). A longer `max_wavelength` alone is NTK-aware
    scaling.

    Args:
        max_wavelength: The longest wavelength is less than 2 pi times this. Defaults to
            10,000.
        scaling_factor: Length of sequences relative to training. Defaults to 1.
        original_length: Length of sequences in training, or `None` (default) to divide
            all times.

    Call arguments:
        inputs: Queries or keys, `(B, T, H, D)`.
        positions: Times `(T,)` or `(B, T)`. Defaults to 0 ... T-1.

    Returns:
        `(B, T, H, D)`: the rotated inputs.

    Raises:
        ValueError: If an argument is not positive, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import DotProductAttention, RotaryPositions
    >>> layer = DotProductAttention(2, 8, positions=RotaryPositions(scaling_factor=4))
    >>> tuple(layer(np.ones((4, 10, 16), "float32")).shape)
    (4, 10, 16)
    >>> turned = RotaryPositions()(np.ones((1, 2, 1, 2), "float32"))
    >>> [round(float(x), 3) for x in turned[0, 1, 0]]
    [-0.301, 1.382]

    Reference:
        [Su et al., 2021](https://arxiv.org/abs/2104.09864);
        [Chen et al., 2023](https://arxiv.org/abs/2306.15595) and
        [Peng et al., 2023](https://arxiv.org/abs/2309.00071) on longer contexts.
    """

    # The fact that tells whether an attention layer supports this one.
    needs = "rotary"

    def __init__(
        self,
        max_wavelength=10_000,
        scaling_factor=1.0,
        original_length=None,
        **kwargs,
    ):
        # Autocasting would round timestamps to half precision on the way in.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        checks.positive_number(
            max_wavelength=max_wavelength, scaling_factor=scaling_factor
        )
        if original_length is not None:
            checks.positive_integer(original_length=original_length)
        self.max_wavelength = max_wavelength
        self.scaling_factor = scaling_factor
        self.original_length = original_length
        self.supports_masking = True

    def call(self, inputs, positions=None):
        checks.positions("positions", positions, inputs)
        times = _times(positions, ops.shape(inputs)[1])
        rates = rotary_rates(
            inputs.shape[-1] // 2,
            self.max_wavelength,
            self.scaling_factor,
            self.original_length,
        )
        turned = rotate(inputs, times, rates)
        if self.original_length is not None:
            turned = turned * (0.1 * math.log(self.scaling_factor) + 1.0)
        return ops.cast(turned, inputs.dtype)

    def compute_output_spec(self, inputs, positions=None):
        checks.positions("positions", positions, inputs)
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "scaling_factor": self.scaling_factor,
            "original_length": self.original_length,
        }


def _times(positions, length):
    """Times as `(B or 1, T)`: float32, or int32 for numbers of steps."""
    if positions is None:
        return ops.arange(0, length, dtype="int32")[None]
    if keras.backend.standardize_dtype(positions.dtype) == "int32":
        return positions[None] if len(positions.shape) == 1 else positions
    return batch_of_times(positions)
