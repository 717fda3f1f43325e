"""Runs the comparisons of a matrix, one probe after the other."""

import time
from collections.abc import Mapping

from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.process import OnEvent


def run_all(
    comparisons: Mapping[str, Comparison],
    on_event: OnEvent,
    time_limit: float | None = None,
    workers: int | None = 1,
) -> None:
    """Runs what is not complete.

    Args:
        comparisons: A `Comparison` for each probe.
        on_event: Called with the progress of each run.
        time_limit: Seconds for all of them.
        workers: How many run at once; `None` for one per GPU or core.

    Raises:
        BlockingIOError: If another process works in a folder.
        KeyboardInterrupt: After the current runs have saved their state.
    """
    deadline = None if time_limit is None else time.monotonic() + time_limit
    for comparison in comparisons.values():
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return
        comparison.run(on_event, left, workers)
