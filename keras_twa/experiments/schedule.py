"""The learning rates of the presets."""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_twa")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a constant or a decaying learning rate.

    Args:
        peak: Learning rate at the end of the warm-up.
        warmup_steps: Steps of the warm-up.
        schedule: `"constant"`, `"cosine"` or `"linear"` (both fall to zero at the
            last step), or `"inverse_sqrt"`.
        total_steps: Number of the last step.
    """

    def __init__(
        self, peak: float, warmup_steps: int, schedule: str, total_steps: int
    ) -> None:
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.schedule = schedule
        self.total_steps = total_steps

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step, counted from 0."""
        step = ops.cast(step, "float32") + 1.0
        warmup = max(1.0, float(self.warmup_steps))
        ramp = ops.minimum(step / warmup, 1.0)
        falling = max(1.0, float(self.total_steps) - warmup)
        done = ops.clip((step - warmup) / falling, 0.0, 1.0)
        if self.schedule == "cosine":
            factor = 0.5 * (1.0 + ops.cos(math.pi * done))
        elif self.schedule == "linear":
            factor = 1.0 - done
        elif self.schedule == "inverse_sqrt":
            factor = ops.sqrt(warmup / ops.maximum(step, warmup))
        else:
            factor = 1.0
        return self.peak * ramp * factor

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "schedule": self.schedule,
            "total_steps": self.total_steps,
        }
