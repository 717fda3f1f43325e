"""Runs comparisons, one or several at once, which share the workers."""

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_twa import tasks
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.lock import locked
from keras_twa.experiments.process import OnEvent
from keras_twa.experiments.process import RunProcess
from keras_twa.experiments.process import load_result
from keras_twa.experiments.results import Result
from keras_twa.experiments.sweep import one_process
from keras_twa.experiments.workers import run_all

if TYPE_CHECKING:
    from keras_twa.experiments.comparison import Comparison


def run_together(
    comparisons: Sequence["Comparison"],
    on_event: OnEvent,
    time_limit: float | None = None,
    workers: int | None = 1,
) -> list[Result]:
    """Runs what is not complete in comparisons that are prepared.

    A worker starts the next run of any of them, so none is idle where one of them ends.
    All runs of sweeps come first, and then the other seeds.

    Args:
        comparisons: The `Comparison`s, each of another task, with the same backend.
        on_event: Called with each run's progress, and with its `Result` as
            `{"event": "end", "result": result}`.
        time_limit: Seconds for all of them.
        workers: How many run at once, as for `Comparison.run`.

    Returns:
        The results of all started runs.

    Raises:
        BlockingIOError: If another process works in one of the folders.
        KeyboardInterrupt: After the current runs have saved their state.
    """
    deadline = None if time_limit is None else time.monotonic() + time_limit
    with contextlib.ExitStack() as stack:
        for each in comparisons:
            stack.enter_context(locked(each.output))
            each.remove_leftovers()
        first = [(each, each.first_runs) for each in comparisons]
        found = _run(first, on_event, deadline, workers)
        others = []
        for each in comparisons:
            task = each.experiments[0].task
            results = [x for x in found if x.experiment.task == task]
            others.append((each, each.other_runs(results)))
        return found + _run(others, on_event, deadline, workers)


def _run(
    stage: Sequence[tuple["Comparison", Sequence[Experiment]]],
    on_event: OnEvent,
    deadline: float | None,
    workers: int | None,
) -> list[Result]:
    """Runs what is not complete of some comparisons, of which none waits for another.

    Args:
        stage: The comparisons, and which of their experiments.
        on_event: Called with the progress of each.
        deadline: Time of `time.monotonic()` at which they must stop, or `None`.
        workers: How many run at once.

    Returns:
        The results of all that were started, in the order of the experiments.
    """
    found: dict[tuple[str, str], Result | None] = {}
    runs = []
    for comparison, experiments in stage:
        left, done = [], []
        for experiment in experiments:
            result = load_result(comparison.output / experiment.name, experiment)
            found[experiment.task, experiment.name] = result
            if result is not None and result.status == "completed":
                on_event(experiment, {"event": "end", "result": result})
                done.append(result)
            else:
                left.append(result or Result(experiment))
        solved = tasks.get(comparison.experiments[0].task).solved
        for first, *others in one_process(left, done, solved):
            runs.append(
                RunProcess(
                    first,
                    comparison.output,
                    deadline,
                    comparison.fingerprint,
                    comparison.backend,
                    others,
                )
            )
    for result in run_all(runs, on_event, workers):
        found[result.experiment.task, result.experiment.name] = result
    return [result for result in found.values() if result is not None]
