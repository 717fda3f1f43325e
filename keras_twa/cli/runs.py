"""The runs of `compare` and `train`, from their options to their results."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_twa.cli import common
from keras_twa.cli import values
from keras_twa.cli.subject import Subject
from keras_twa.experiments.text import note_heading
from keras_twa.experiments.text import one_line

NOTES = """\
To continue, run the same command again: complete runs are kept, and interrupted runs
continue. To work in parts, give each call the same --output and a --time-limit.

The preset `quick` reduces the task to minutes on two cores. `mvp`, `skyformer` and
`lra_paper` use the sizes of Long Range Arena and need a GPU.
"""


def add_options(parser: argparse.ArgumentParser, default_output: str) -> None:
    """Adds the options of commands that run experiments."""
    common.add_task(parser)
    parser.add_argument(
        "--output",
        type=common.folder,
        metavar="DIR",
        help=f"folder for the results (default: {default_output}, and for a file of "
        "yours its name instead of TASK)",
    )
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="longest sequence in tokens"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Adds the option of how many runs share the machine."""
    parser.add_argument(
        "--workers",
        type=values.workers,
        metavar="N",
        help="runs at once, each with a GPU or an equal share of the cores of its own "
        "(default: one per GPU, or else one per core)",
    )


def add_seeds(parser: argparse.ArgumentParser) -> None:
    """Adds the option of the seeds of each mechanism."""
    parser.add_argument(
        "--seeds",
        type=values.integers,
        default=[0],
        metavar="0,1,2",
        help="one run of each mechanism per seed (default: 0)",
    )


def add_rates(parser: argparse.ArgumentParser, option: str, default: Any) -> None:
    """Adds the option of the learning rates of a sweep."""
    parser.add_argument(
        option,
        type=values.rates,
        default=default,
        metavar="1e-3,3e-3",
        help="learning rates to try with the first seed of each mechanism; the other "
        "seeds use the one with the best validation score (default: the preset's)",
    )


@dataclass
class Runs:
    """The runs of one call.

    Args:
        comparison: The `Comparison` that runs them.
        data: Their rows.
        facts: The facts of the comparison, such as its task and its rows.
    """

    comparison: Any
    data: Any
    facts: dict[str, Any]

    @classmethod
    def prepare(
        cls,
        options: argparse.Namespace,
        subject: Subject,
        backend: str,
        attentions: list[str],
        seeds: list[int],
        output: Path,
        learning_rates: Sequence[float] = (),
    ) -> "Runs":
        """Checks everything, loads the rows, and makes the folder.

        Args:
            options: The options of the command.
            subject: The `Subject` that they name.
            backend: Name of the Keras backend.
            attentions: The texts of the mechanisms.
            seeds: The seeds of each.
            output: The folder.
            learning_rates: The rates of a sweep.
        """
        from keras_twa import tasks
        from keras_twa.experiments.comparison import Comparison
        from keras_twa.experiments.config import Experiment
        from keras_twa.experiments.config import preset_settings

        common.check_time_limit(options.time_limit)
        changes = {"epochs": options.epochs, "max_length": options.max_length}
        changes = {name: value for name, value in changes.items() if value is not None}
        used = tasks.get(subject.task).used
        if "max_length" in changes and used is not None and "max_length" not in used:
            raise ValueError(
                f"`--max-length` has no effect on the task {subject.task}. "
                f"Received: max_length={options.max_length}"
            )
        changes |= subject.changes
        settings = preset_settings(subject.task, options.preset, **changes)

        def comparison_on(data: str) -> Comparison:
            experiments = [
                Experiment(subject.task, name, seed, options.preset, data, settings)
                for seed in seeds
                for name in attentions
            ]
            return Comparison(output, experiments, backend, learning_rates)

        comparison_on(options.data).check_writable()
        data = tasks.load(subject.task, options.data, settings)
        comparison = comparison_on(data.data)
        return cls(comparison, data, comparison.prepare(data))

    def run(
        self, console: Any, time_limit: float | None, workers: int | None = 1
    ) -> list[Any]:
        """Runs what is left, prints the table of all, and returns the results.

        Raises:
            KeyboardInterrupt: After saving the state, and telling the user how to
                continue.
        """
        from keras_twa.experiments.terminal import ProgressView

        self._print_heading(console)
        try:
            with ProgressView(console, self.comparison.planned) as view:
                results: list[Any] = self.comparison.run(view, time_limit, workers)
        except KeyboardInterrupt:
            self._print_table(console, self._results_so_far())
            common.print_how_to_go_on(console, self.comparison.output)
            raise
        left = self.left(results)
        if left:
            console.print(
                f"{left} runs are not complete; the same command continues them."
            )
        self._print_table(console, results)
        return results

    def _results_so_far(self) -> list[Any]:
        """The results of the runs of this call so far, in their order."""
        from keras_twa.experiments.results import load_results

        order = [experiment.attention for experiment in self.comparison.experiments]
        found = load_results(self.comparison.output)
        wanted = [x for x in found if x.experiment.attention in order]
        return sorted(wanted, key=lambda x: order.index(x.experiment.attention))

    def _print_table(self, console: Any, results: list[Any]) -> None:
        from keras_twa.experiments.terminal import results_table
        from keras_twa.tasks import Metric

        metric = Metric.from_json(self.facts.get("metric"))
        console.print(results_table(results, self.facts["baselines"], metric))

    def left(self, results: list[Any]) -> int:
        """Returns how many runs the same command would continue."""
        stopped = sum(result.status == "stopped" for result in results)
        return len(self.comparison.planned) - len(results) + stopped

    def _print_heading(self, console: Any) -> None:
        from rich.text import Text

        from keras_twa.tasks import Metric
        from keras_twa.tasks.registry import STORED

        facts, rows = self.facts, self.facts["rows"]
        metric = Metric.from_json(facts.get("metric"))
        baselines = [
            f"{name} {metric.text(value)}" for name, value in facts["baselines"].items()
        ]
        what = (
            f" ({facts['source']}), preset {facts['preset']}, "
            f"{facts['backend']} backend, {len(self.comparison.planned)} runs"
        )
        # A stored model is no task with a name, but has a title.
        own = facts["task"].startswith(STORED)
        name = facts["title"] if own else facts["task"]
        console.print(Text.assemble((name, "bold"), what))
        console.print(
            f"{rows['train']:,} rows to train on, {rows['validation']:,} for "
            f"validation, {rows['test']:,} for the test"
        )
        if facts["note"]:
            heading = (f"{note_heading(facts)}:", "yellow")
            console.print(Text.assemble(heading, f" {facts['note']}"))
        if baselines:
            console.print(f"Without attention: {', '.join(baselines)}")
        console.print(f"Results: {self.comparison.output}", soft_wrap=True)


def written_report(
    output: Path, write: Callable[[Path], Path] | None = None
) -> Path | None:
    """Writes the report, and returns its path.

    The results exist without it. Therefore any error becomes one line on the error
    stream, and the result is `None`.

    Args:
        output: The folder of the results.
        write: Function from the folder to the path of its report. Defaults to that of a
            comparison.
    """
    try:
        from keras_twa.experiments.report import write_report

        return (write or write_report)(output)
    except Exception as error:  # drawing may raise anything
        common.print_error(
            f"The report failed: {type(error).__name__}: {one_line(error)} "
            f"The results are in {output}; `keras-twa report` rewrites it."
        )
        return None


def exit_code(results: list[Any]) -> int:
    """Returns 1 if a run failed, else 0."""
    return int(any(result.status == "failed" for result in results))
