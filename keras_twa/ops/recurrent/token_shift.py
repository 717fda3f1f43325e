"""Token shift: each step also gets the input of the previous step."""

from keras import ops

from keras_twa.ops.gather import steps_at
from keras_twa.ops.segments import latest_real


def previous_real(x, real=None, before=None):
    """The input of the last real step before each step.

    Args:
        x: `(B, T, F)`, finite wherever a step is not real.
        real: Boolean `(B, T)`, `True` for real steps, or `None` if all are real.
        before: `(B, F)`, the last real input of an earlier call. Defaults to zeros.

    Returns:
        `(B, T, F)`, and the last real input of each row `(B, F)`.
    """
    batch, _, width = ops.shape(x)
    if before is None:
        before = ops.zeros((batch, width), x.dtype)
    x = ops.concatenate([ops.cast(before, x.dtype)[:, None], x], axis=1)
    if real is not None:
        real = ops.concatenate([ops.ones((batch, 1), "bool"), real], axis=1)
        x = steps_at(x, latest_real(real))
    # A view would keep the whole sequence alive.
    return x[:, :-1], ops.copy(x[:, -1])
