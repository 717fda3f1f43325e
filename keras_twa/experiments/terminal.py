"""The output of a comparison or a search in the terminal."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any
from typing import Self

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn
from rich.progress import TimeRemainingColumn
from rich.text import Text

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.fitted_table import FittedTable
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import estimate
from keras_twa.experiments.sweep import with_chosen_rates
from keras_twa.experiments.text import bytes_text
from keras_twa.experiments.text import seconds_text
from keras_twa.tasks import Metric
from keras_twa.tasks import get


class Bars:
    """Progress bars, only in a terminal and only temporary."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

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

    def _print(self, line: str) -> None:
        """Prints a line literally, without markup."""
        self._console.print(Text(line), soft_wrap=True)


class ProgressView(Bars):
    """Shows the progress of the runs: bars in a terminal, else a line per epoch.

    Args:
        console: The rich console.
        experiments: All runs.
    """

    def __init__(self, console: Console, experiments: Sequence[Experiment]) -> None:
        super().__init__(console)
        self._width = max(len(experiment.name) for experiment in experiments)
        self._runs = len(experiments)
        self._all = self._progress.add_task("all runs", total=self._runs, detail="")
        self._bars: dict[str, Any] = {}
        self._validation: dict[str, str] = {}

    def __call__(self, experiment: Experiment, event: dict[str, Any]) -> None:
        """Shows one event of a run."""
        name = experiment.name.ljust(self._width)
        if event["event"] == "start":
            self._bars[experiment.name] = self._progress.add_task(
                name, total=event["steps"], detail="compiling"
            )
            if event["restored"]:
                self._print(f"{name}  continues from its checkpoint")
        elif event["event"] == "batch" and experiment.name in self._bars:
            self._progress.update(
                self._bars[experiment.name],
                completed=event["steps_done"],
                detail=self._detail(experiment, event),
            )
        elif event["event"] == "epoch":
            metric = get(experiment.task).metric
            score = metric.text(event[f"validation_{metric.name}"])
            self._validation[experiment.name] = f"  validation {score}"
            self._print(
                f"{name}  epoch {event['epoch']}/{experiment.settings.epochs}"
                f"  loss {event['train_loss']:.3f}"
                f"  validation {score}"
                f"  {seconds_text(event['seconds'])}"
            )
        elif event["event"] == "end":
            self._end(experiment, name, event["result"])

    def _detail(self, experiment: Experiment, event: dict[str, Any]) -> str:
        if event["phase"] == "train":
            place = f"epoch {event['epoch']}/{experiment.settings.epochs}"
        else:
            place = event["phase"]
        return (
            f"{place}  batch {event['batch']}/{event['batches']}"
            f"  loss {event['loss']:.3f}{self._validation.get(experiment.name, '')}"
        )

    def _end(self, experiment: Experiment, name: str, result: Result) -> None:
        if experiment.name in self._bars:
            self._progress.remove_task(self._bars.pop(experiment.name))
        self._progress.advance(self._all)
        if result.status == "completed":
            text = f"test {result.metric.text(result.score)}"
        else:
            text = f"{result.status}: {result.reason}"
        self._print(f"{name}  {text}")


class TuningView(Bars):
    """Shows the progress of a search: bars in a terminal, and a line per trial.

    Args:
        console: The rich console.
        max_trials: Largest number of trials, besides the default.
        metric: The `Metric` of the scores.
    """

    def __init__(self, console: Console, max_trials: int, metric: Metric) -> None:
        super().__init__(console)
        self._metric = metric
        self._current: Any = None
        self._all = self._progress.add_task("search", total=1 + max_trials, detail="")
        self._epochs = 1

    def __call__(self, event: dict[str, Any]) -> None:
        """Shows one event of `keras_twa.tuner.search`."""
        name = _trial_name(event["trial"])
        if event["event"] == "start":
            self._remove_current()
            self._epochs = event["epochs"]
            detail = event["hyperparameters"]["attention"]
            self._current = self._progress.add_task(name, total=None, detail=detail)
        elif event["event"] == "batch" and self._current is not None:
            done = (event["epoch"] - 1) * event["batches"] + event["batch"]
            self._progress.update(
                self._current, completed=done, total=self._epochs * event["batches"]
            )
        elif event["event"] == "end":
            self._remove_current()
            self._progress.advance(self._all)
            found = event["result"]
            text = found["hyperparameters"]["attention"]
            if found["score"] is None:
                text += f"  failed: {found.get('message', '')}"
            else:
                text += f"  validation {self._metric.text(found['score'])}"
                text += f"  {seconds_text(found['seconds'])}"
            self._print(f"{name}  {text}")

    def _remove_current(self) -> None:
        if self._current is not None:
            self._progress.remove_task(self._current)
            self._current = None


def _trial_name(trial: str) -> str:
    return trial if trial == "default" else f"trial {trial}"


def results_table(
    results: Sequence[Result], baselines: dict[str, float], metric: Metric
) -> FittedTable:
    """Returns the final table of a comparison."""
    results = with_chosen_rates(results)
    headings = (metric.title, "epoch", "compile", "memory", "weights", "runs")
    table = FittedTable(
        ["mechanism", *headings],
        names="mechanism",
        needed=(metric.title, "runs"),
        wraps={"runs": 16},
    )
    for attention in dict.fromkeys(result.experiment.attention for result in results):
        runs = [r for r in results if r.experiment.attention == attention]
        done = [r for r in runs if r.status == "completed"]
        table.add_row(
            attention,
            _mean([r.score for r in done], metric.text, metric),
            _mean([r.seconds_per_epoch for r in done], seconds_text),
            _mean([r.compile_seconds for r in done], seconds_text),
            _mean([r.model_memory for r in done], bytes_text),
            f"{runs[0].parameters:,}" if runs[0].parameters else "",
            _counts(runs),
        )
    for name, score in baselines.items():
        table.add_row(name, metric.text(score), style="dim")
    return table


def _mean(values: Sequence[Any], text: Any, metric: Metric | None = None) -> str:
    found = estimate([value for value in values if value is not None])
    if found is None:
        return "–"
    if metric is not None and found.half_width is not None:
        return f"{text(found.mean)} ± {metric.plain(found.half_width)}"
    return str(text(found.mean))


def _counts(runs: Sequence[Result]) -> Text:
    done = sum(run.status == "completed" for run in runs)
    failed = sum(run.status == "failed" for run in runs)
    text = f"{done}" if done == len(runs) else f"{done} of {len(runs)}"
    return Text(f"{text}, {failed} failed", "red") if failed else Text(text)
