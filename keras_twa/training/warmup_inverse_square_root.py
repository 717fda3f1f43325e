"""The learning-rate schedule of the original Transformer."""

import keras
from keras import ops

from keras_twa.layers import checks


@keras.saving.register_keras_serializable(package="keras_twa")
class WarmupInverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then decay with the inverse square root of the step.

    With steps `s` counted from 1 and `w` warm-up steps, the rate is
    `learning_rate * min(s / w, sqrt(w / s))`: it is largest at step `w`, with
    `learning_rate`.

    The schedule of the paper, `d_model^-0.5 * min(s^-0.5, s * w^-1.5)`, is the same
    with `learning_rate=(d_model * warmup_steps) ** -0.5`.

    Args:
        learning_rate: The rate at the end of the warm-up.
        warmup_steps: Steps of the warm-up. Defaults to 4,000.

    Call arguments:
        step: Number of the training step, from 0.

    Returns:
        The learning rate, float32.

    Raises:
        ValueError: If an argument is not positive.

    Example:

    >>> import keras
    >>> from keras_twa.training import WarmupInverseSquareRoot
    >>> rates = WarmupInverseSquareRoot(1e-3, warmup_steps=100)
    >>> optimizer = keras.optimizers.Adam(rates, beta_2=0.98)
    >>> [round(float(rates(step)), 6) for step in (0, 49, 99, 399)]
    [1e-05, 0.0005, 0.001, 0.0005]

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
    """

    def __init__(self, learning_rate, warmup_steps=4_000):
        super().__init__()
        checks.positive_number(learning_rate=learning_rate)
        checks.positive_integer(warmup_steps=warmup_steps)
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0
        rising = step / self.warmup_steps
        falling = ops.sqrt(self.warmup_steps / step)
        return self.learning_rate * ops.minimum(rising, falling)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
        }
