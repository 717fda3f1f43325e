"""Arguments that functions which run experiments have in common."""

from collections.abc import Sequence

import numpy as np


def seeds_of(seeds: int | Sequence[int]) -> list[int]:
    """Returns a list of seeds, also of their number.

    Raises:
        ValueError: If there is none.
    """
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool):
        found = list(range(int(seeds)))
    elif isinstance(seeds, Sequence) and not isinstance(seeds, str):
        found = list(dict.fromkeys(seeds))
    else:
        found = []
    if not found:
        raise ValueError(
            "`seeds` must be a positive number of seeds, or a list of them. "
            f"Received: seeds={seeds!r}"
        )
    return found


def check_workers(workers: int | None) -> None:
    """Raises `ValueError` unless it is a number of runs at once, or `None`."""
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise ValueError(
            "`workers` must be a positive number, or `None` for one per GPU or core. "
            f"Received: workers={workers!r}"
        )


def check_time_limit(time_limit: float | None) -> None:
    """Raises `ValueError` for a time limit that is not positive."""
    if time_limit is not None and not time_limit > 0:
        raise ValueError(
            "`time_limit` must be a positive number of seconds. "
            f"Received: time_limit={time_limit!r}"
        )
