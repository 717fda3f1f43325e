"""Checks of times before any computation."""

import numpy as np

# The largest relative error of a gap between two times.
MOST_ERROR = 0.01
# Advice for dates, and for times with too many digits.
CONVERT = "`(times - times[:, :1]) / np.timedelta64(1, 's')`"
SUBTRACT = "`times - times[:, :1]`"


def check_times(times, mask=None, name="times", may_fall=True, after=None):
    """Raises `ValueError` for times that attention layers would misread.

    Layers compute with times in float32. Near 1.7 billion, the seconds since 1970,
    neighbouring float32 numbers are 128 apart. Layers check their times if they can
    read the numbers. Inside a compiled function, such as that of `fit`, they cannot:
    call this function once, on the data.

    Args:
        times: Times of the steps, `(T,)` or `(B, T)`, in any unit.
        mask: Boolean `(B, T)`, `True` for real steps. Times of padding are not checked.
            Defaults to all steps.
        name: The name of the times in an error.
        may_fall: Whether a time may be less than that of the step before. "retention"
            and "multi_timescale_retention" need times that do not decrease.
        after: If times must not decrease, those of the previous steps, `(B,)`, or
            `None`.

    Raises:
        ValueError: If times are dates or not numbers, the time of a real step is not
            finite, float32 cannot tell times apart but could after subtracting the
            first, or times decrease and must not.

    Example:

    >>> import numpy as np
    >>> from keras_twa.datasets import check_times
    >>> unix = 1_700_000_000 + np.arange(0, 600, 30)[None]
    >>> check_times(unix - unix[:, :1])
    >>> check_times(unix)
    Traceback (most recent call last):
    ...
    ValueError: float32 cannot tell `times` apart: ...
    """
    times = np.asarray(times)
    refuse_dates(times, name)
    if times.dtype.kind not in "iuf" or times.ndim not in (1, 2):
        raise ValueError(
            f"`{name}` must be numbers of shape (length,) or (batch, length). "
            f"Received: {name} of {times.dtype} and shape {times.shape}"
        )
    rows = np.atleast_2d(times)
    mask = np.ones((1, 1), "bool") if mask is None else np.atleast_2d(mask)
    before = np.full((1, 1), -np.inf) if after is None else np.asarray(after)[:, None]
    try:
        rows, mask, before = np.broadcast_arrays(rows, mask.astype("bool"), before)
    except ValueError as error:
        raise ValueError(
            f"A mask of `{name}` must have shape (batch, length). Received: {name} of "
            f"shape {times.shape}, mask of shape {mask.shape}"
        ) from error
    for row, real, earlier in zip(rows, mask, before, strict=True):
        if real.any():
            _check_row(row[real], name, may_fall, earlier[0])


def refuse_dates(times, name):
    """Raises `ValueError` for dates, or for differences between dates."""
    if times.dtype.kind in "mM":
        raise ValueError(
            f"`{name}` must be numbers. Convert dates to the time since the first of "
            f"each row in a unit of your choice, such as {CONVERT} for seconds. "
            f"Received: {name} of {times.dtype}"
        )


def without_wide_integers(times):
    """The array, converted to float64 if 32 bits cannot hold its integers.

    JAX has no wider integers, and would silently change the times.
    """
    if times.dtype.kind not in "iu" or not times.size:
        return times
    limits = np.iinfo("int32")
    if limits.min <= times.min() and times.max() <= limits.max:
        return times
    return times.astype("float64")


def _check_row(row, name, may_fall, before):
    """Checks the times of the real steps of one row, `(length,)`."""
    exact = row.astype("float64")
    received = f"Received: {name} from {exact.min():.12g} to {exact.max():.12g}"
    if not np.isfinite(exact).all():
        raise ValueError(f"`{name}` must be finite. {received}")
    gaps = np.diff(exact)
    earlier = np.concatenate([[before], exact[:-1]])
    if not may_fall and (exact < earlier).any():
        step = np.argmax(exact < earlier)
        raise ValueError(
            f"`{name}` must not fall along a row: sort its steps by time. Received: "
            f"{name} with {exact[step]:.12g} after {earlier[step]:.12g}"
        )
    apart = np.abs(gaps[gaps != 0])
    error, typical = _error(row, exact), np.median(apart) if apart.size else 0.0
    least = exact - exact.min()
    if error > MOST_ERROR * typical and error > _error(least, least):
        raise ValueError(
            f"float32 cannot tell `{name}` apart: its error is up to {error:.3g}, and "
            f"neighbours are {typical:.3g} apart. Subtract the first time of each row, "
            f"{SUBTRACT}, before converting to float32. "
            f"{received}"
        )


def _error(row, exact):
    """The largest possible error of these times in float32."""
    if row.dtype.kind == "f" and row.dtype.itemsize < 8:
        # The original times are unknown: assumed to be integers, if small enough.
        most, exponent = np.abs(row).max(), np.finfo(row.dtype).nmant + 1
        return float(np.spacing(most)) / 2 if most >= 2.0**exponent else 0.0
    return float(np.abs(row.astype("float32").astype("float64") - exact).max())
