"""Times of series, from 0 on, in a unit that fits the data."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_UNITS = {"d": 86_400.0, "h": 3_600.0, "min": 60.0, "s": 1.0}


def relative_times(
    stamps: Sequence[np.ndarray], unit: Any = None
) -> tuple[list[np.ndarray], str]:
    """Returns the times of each series since its first step, and their unit as text.

    Args:
        stamps: The time stamps `(T,)` of each series: numbers, or dates of NumPy.
        unit: What is 1 afterwards: a positive number in the unit of the stamps, or for
            dates a duration of pandas such as `15min`. Defaults to the median gap
            between time steps, of those that are not 0.

    Raises:
        ValueError: If the unit is not positive, or of the wrong kind.
    """
    dates = stamps[0].dtype.kind == "M"
    second = np.timedelta64(1, "s")
    since = [(each - each[0]) / second if dates else each - each[0] for each in stamps]
    if unit is None:
        scale = _median_gap(since)
    else:
        scale = _seconds(unit) if dates else _positive(unit)
    return [each / scale for each in since], _text(scale) if dates else f"{scale:g}"


def _median_gap(since: list[np.ndarray]) -> float:
    gaps = np.concatenate([np.diff(each) for each in since])
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) if len(gaps) else 1.0


def _positive(unit: Any) -> float:
    try:
        found = float(unit)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        raise ValueError(
            "For times that are numbers, `time_unit` must be a positive number. "
            f"Received: time_unit={unit!r}"
        )
    return found


def _seconds(unit: Any) -> float:
    import pandas as pd

    try:
        # A number alone would mean nanoseconds.
        found = math.nan if _is_number(unit) else pd.Timedelta(unit).total_seconds()
    except (TypeError, ValueError):
        found = math.nan
    if not found > 0:
        raise ValueError(
            "For times that are dates, `time_unit` must be a positive duration, such "
            f"as 1h, 15min or 1D. Received: time_unit={unit!r}"
        )
    return found


def _is_number(unit: Any) -> bool:
    try:
        float(unit)
    except (TypeError, ValueError):
        return False
    return True


def _text(seconds: float) -> str:
    """Returns 5400.0 as `1.5 h`."""
    name, size = next(
        (each for each in _UNITS.items() if seconds >= each[1]), ("s", 1.0)
    )
    return f"{seconds / size:g} {name}"
