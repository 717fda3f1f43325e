"""Dates and times that are written as text."""

import warnings
from collections.abc import Sequence

import numpy as np


def dates_of(texts: Sequence[str]) -> np.ndarray:
    """Returns dates as datetime64, NaT for texts that are none.

    The texts are in ISO 8601, or else all in the form of the first one, as pandas reads
    it. Times without a zone are in UTC.
    """
    # Slow to import.
    import pandas as pd

    found = pd.to_datetime(list(texts), format="ISO8601", utc=True, errors="coerce")
    if found.isna().any():
        with warnings.catch_warnings():
            # It says which of several forms it assumes.
            warnings.simplefilter("ignore", UserWarning)
            other = pd.to_datetime(list(texts), utc=True, errors="coerce")
        if other.isna().sum() < found.isna().sum():
            found = other
    return np.asarray(found.tz_localize(None).to_numpy())
