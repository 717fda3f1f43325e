"""Learned position embeddings."""

import keras
from keras import ops

from keras_twa.layers import checks


@keras.saving.register_keras_serializable(package="keras_twa")
class LearnedPositions(keras.layers.Layer):
    """Adds one learned vector per position to its input.

    Args:
        max_length: Number of positions that have a vector.
        initializer: Initializer of the vectors. Defaults to a normal distribution
            of standard deviation 0.02.

    Call arguments:
        inputs: `(B, T, F)` with T at most `max_length`.
        positions: Integer `(T,)` or `(B, T)`, each below `max_length`. Defaults to 0
            ... T-1.

    Returns:
        `(B, T, F)`: the inputs plus the embeddings.

    Raises:
        ValueError: If `max_length` is not a positive integer, the input is longer, or
            a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import LearnedPositions
    >>> layer = LearnedPositions(max_length=100)
    >>> tuple(layer(np.zeros((2, 7, 4), "float32")).shape)
    (2, 7, 4)

    Reference:
        [Gehring et al., 2017](https://arxiv.org/abs/1705.03122)
    """

    def __init__(self, max_length, initializer=None, **kwargs):
        super().__init__(**kwargs)
        checks.positive_integer(max_length=max_length)
        self.max_length = max_length
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        self.embeddings = self.add_weight(
            shape=(self.max_length, inputs_shape[-1]),
            initializer=self.initializer,
            name="embeddings",
        )

    def call(self, inputs, positions=None):
        checks.positions("positions", positions, inputs)
        length = inputs.shape[1]
        if length is not None and length > self.max_length:
            raise ValueError(
                f"The input is longer than `max_length={self.max_length}`. "
                f"Received: inputs of shape {tuple(inputs.shape)}"
            )
        if positions is None:
            return inputs + self.embeddings[: ops.shape(inputs)[1]]
        rows = ops.cast(positions, "int32")
        return inputs + ops.take(self.embeddings, rows, axis=0)

    def compute_output_shape(self, inputs_shape, positions_shape=None):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "initializer": keras.initializers.serialize(self.initializer),
        }
