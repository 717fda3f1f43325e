"""The progress of the runs of a matrix in a terminal."""

from types import TracebackType
from typing import Any
from typing import Self

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn
from rich.text import Text

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.text import seconds_text


class ProbesView:
    """Prints a line for each run that ends, below a bar of all runs in a terminal.

    Args:
        console: The rich console.
        runs: The number of all runs.
    """

    def __init__(self, console: Console, runs: int) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("all runs", style="bold"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._all = self._progress.add_task("", total=runs)
        self._started: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

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
            line = f"{experiment.task}  {experiment.name}  {text}"
            self._console.print(Text(line), soft_wrap=True)
