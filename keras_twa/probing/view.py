"""The progress of the runs of a matrix in a terminal."""

from typing import Any

from rich.console import Console

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.terminal import Bars
from keras_twa.experiments.text import seconds_text


class ProbesView(Bars):
    """Prints a line for each run that ends, below a bar of all runs in a terminal.

    Args:
        console: The rich console.
        runs: The number of all runs.
    """

    def __init__(self, console: Console, runs: int) -> None:
        super().__init__(console)
        self._all = self._progress.add_task("all runs", total=runs, detail="")
        self._started: set[tuple[str, str]] = set()

    def __call__(self, experiment: Experiment, event: dict[str, Any]) -> None:
        """Shows one event of a run."""
        run = (experiment.task, experiment.name)
        if event["event"] == "start":
            self._started.add(run)
        elif event["event"] == "end":
            self._progress.advance(self._all)
            result = event["result"]
            # Those that were complete before are only counted.
            if run not in self._started and result.status == "completed":
                return
            text = f"{result.status}: {result.reason}"
            if result.status == "completed":
                seconds = seconds_text(result.wall_seconds)
                text = f"test {result.metric.text(result.score)}  {seconds}"
            self._print(f"{experiment.task}  {experiment.name}  {text}")
