"""Loss and metric of probes whose answers are numbers, one at each step."""

from typing import Any

import keras
from keras import ops


class SquaredError(keras.losses.Loss):
    """The squared error of each step.

    Keras's own takes the mean over the last axis, and then there is one weight for each
    row only.
    """

    def __init__(self) -> None:
        super().__init__(name="squared_error", reduction="mean_with_sample_weight")

    def call(self, targets: Any, outputs: Any) -> Any:
        """Returns the errors `(B, T)`.

        Args:
            targets: `(B, T)`.
            outputs: `(B, T, 1)`.
        """
        return ops.square(ops.subtract(targets, outputs[..., 0]))


def explained_variance(name: str) -> Any:
    """Returns the metric: 1 minus the squared error of targets of variance 1.

    Args:
        name: Its name.
    """

    def explained(targets: Any, outputs: Any) -> Any:
        error = ops.square(ops.subtract(targets, outputs[..., 0]))
        return ops.subtract(1.0, error)

    return keras.metrics.MeanMetricWrapper(explained, name=name)
