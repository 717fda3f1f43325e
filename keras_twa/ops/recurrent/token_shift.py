"""Token shift: each step also gets the input of the previous step."""

from keras import ops

from keras_twa.ops.gather import steps_at
from keras_twa.ops.segments import latest_real


def previous_real(x, real=None, before=None, run=None):
    """The input of the last real step before each step.

    Args:
        x: `(B, T, F)`, finite wherever a step is not real.
        real: Boolean `(B, T)`, `True` for real steps, or `None` if all are real.
        before: `(B, F)`, the last real input of an earlier call. Defaults to zeros.
        run: Integer `(B, T)`, the number of each step's segment in packed rows, or
            `None`. A segment begins like a sequence.

    Returns:
        `(B, T, F)`, and the last real input of each row `(B, F)`.
    """
    batch, _, width = ops.shape(x)
    if before is None:
        before = ops.zeros((batch, width), x.dtype)
    x = ops.concatenate([ops.cast(before, x.dtype)[:, None], x], axis=1)
    if real is not None:
        real = ops.concatenate([ops.ones((batch, 1), "bool"), real], axis=1)
        found = latest_real(real)
        x = steps_at(x, found)
    shifted = x[:, :-1]
    if run is not None:
        # Segments are numbered from 1.
        own, run = run, ops.concatenate([ops.zeros_like(run[:, :1]), run], axis=1)
        if real is not None:
            run = ops.take_along_axis(run, found, axis=1)
        same = ops.equal(own, run[:, :-1])
        shifted = ops.where(same[..., None], shifted, ops.zeros((), x.dtype))
    # A view would keep the whole sequence alive.
    return shifted, ops.copy(x[:, -1])
