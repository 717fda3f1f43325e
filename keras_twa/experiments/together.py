"""Runs several comparisons at once, which share the workers."""

import contextlib
import time
from collections.abc import Sequence

from keras_twa import files
from keras_twa import tasks
from keras_twa.experiments.comparison import COMPARISON_FILE
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.lock import locked
from keras_twa.experiments.process import OnEvent
from keras_twa.experiments.process import RunProcess
from keras_twa.experiments.process import load_result
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import read_json
from keras_twa.experiments.sweep import first_runs
from keras_twa.experiments.sweep import one_process
from keras_twa.experiments.sweep import other_runs
from keras_twa.experiments.workers import run_all


def run_together(
    comparisons: Sequence[Comparison],
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
        for comparison in comparisons:
            stack.enter_context(locked(comparison.output))
            for part in files.leftovers(comparison.output / COMPARISON_FILE):
                part.unlink(missing_ok=True)
        first = _Stage(on_event, deadline)
        for each in comparisons:
            rates = each.learning_rates
            first.add(
                each, first_runs(each.experiments, rates) if rates else each.experiments
            )
        found = first.run(workers)
        others = _Stage(on_event, deadline)
        for each in comparisons:
            if each.learning_rates:
                task = each.experiments[0].task
                results = [x for x in found if x.experiment.task == task]
                others.add(each, other_runs(each.experiments, results))
        return found + others.run(workers)


class _Stage:
    """Runs of several comparisons, of which none waits for another.

    Args:
        on_event: Called with the progress of each.
        deadline: Time of `time.monotonic()` at which they must stop, or `None`.
    """

    def __init__(self, on_event: OnEvent, deadline: float | None) -> None:
        self._on_event = on_event
        self._deadline = deadline
        self._runs: list[RunProcess] = []
        self._found: dict[tuple[str, str], Result] = {}

    def add(self, comparison: Comparison, experiments: Sequence[Experiment]) -> None:
        """Adds those that are not complete, and tells of those that are."""
        left, done = [], []
        for experiment in experiments:
            result = load_result(comparison.output / experiment.name, experiment)
            if result is not None:
                self._keep(result)
            if result is not None and result.status == "completed":
                self._on_event(experiment, {"event": "end", "result": result})
                done.append(result)
            else:
                left.append(result or Result(experiment))
        facts = read_json(comparison.output / COMPARISON_FILE)
        solved = tasks.get(comparison.experiments[0].task).solved
        for first, *others in one_process(left, done, solved):
            self._runs.append(
                RunProcess(
                    first,
                    comparison.output,
                    self._deadline,
                    facts["fingerprint"],
                    comparison.backend,
                    others,
                )
            )

    def run(self, workers: int | None) -> list[Result]:
        """Runs them, and returns the results of all that were started."""
        for result in run_all(self._runs, self._on_event, workers):
            self._keep(result)
        return [*self._found.values()]

    def _keep(self, result: Result) -> None:
        experiment = result.experiment
        self._found[experiment.task, experiment.name] = result
