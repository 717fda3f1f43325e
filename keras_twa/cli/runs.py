"""What `compare` and `train` share: from options to runs that are done or stopped."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_twa.cli import common

NOTES = """\
Running the same command again keeps what is complete and goes on with the rest,
inside a run too. In pieces: give each call the same --output and a --time-limit.

The preset `quick` shrinks the task to minutes on two cores. `mvp`, `skyformer` and
`lra_paper` train on Long Range Arena's own sizes; they want a GPU.
"""


def add_options(parser: argparse.ArgumentParser, default_output: str) -> None:
    """Adds the options of commands that run experiments."""
    common.add_task(parser)
    parser.add_argument(
        "--output",
        type=common.folder,
        metavar="DIR",
        help=f"folder for what comes of it (default: {default_output})",
    )
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="longest sequence in tokens"
    )


@dataclass
class Runs:
    """The runs of one call.

    Args:
        comparison: The `Comparison` that runs them.
        data: Their `TaskData`.
        facts: What the comparison says of itself.
    """

    comparison: Any
    data: Any
    facts: dict[str, Any]

    @classmethod
    def prepare(
        cls,
        options: argparse.Namespace,
        backend: str,
        attentions: list[str],
        seeds: list[int],
        output: Path,
    ) -> "Runs":
        """Checks everything, loads the rows, and makes the folder."""
        from keras_twa.experiments.comparison import Comparison
        from keras_twa.experiments.config import Experiment
        from keras_twa.experiments.config import preset_settings
        from keras_twa.experiments.data import load_task

        common.check_time_limit(options.time_limit)
        changes = {"epochs": options.epochs, "max_length": options.max_length}
        changes = {name: value for name, value in changes.items() if value is not None}
        settings = preset_settings(options.task, options.preset, **changes)

        def comparison_on(data: str) -> Comparison:
            experiments = [
                Experiment(options.task, name, seed, options.preset, data, settings)
                for seed in seeds
                for name in attentions
            ]
            return Comparison(output, experiments, backend)

        comparison_on(options.data).check_writable()
        data = load_task(options.task, options.data, settings)
        comparison = comparison_on(data.data)
        return cls(comparison, data, comparison.prepare(data))

    def run(self, console: Any, time_limit: float | None) -> list[Any]:
        """Runs what is left, and returns the results.

        Raises:
            KeyboardInterrupt: After the state is kept, and the user told how to go on.
        """
        from keras_twa.experiments.terminal import ProgressView

        self._print_heading(console)
        try:
            with ProgressView(console, self.comparison.experiments) as view:
                results: list[Any] = self.comparison.run(view, time_limit)
        except KeyboardInterrupt:
            common.print_how_to_go_on(console, self.comparison.output)
            raise
        left = self.left(results)
        if left:
            console.print(f"{left} runs are not complete; the same command goes on.")
        return results

    def left(self, results: list[Any]) -> int:
        """Returns how many runs the same command would go on with."""
        stopped = sum(result.status == "stopped" for result in results)
        return len(self.comparison.experiments) - len(results) + stopped

    def _print_heading(self, console: Any) -> None:
        from keras_twa.experiments.text import accuracy_text

        facts, rows = self.facts, self.facts["rows"]
        baselines = [
            f"{name} {accuracy_text(value)}"
            for name, value in facts["baselines"].items()
        ]
        console.print(
            f"[bold]{facts['task']}[/] ({facts['source']}), preset {facts['preset']}, "
            f"{facts['backend']} backend, {len(self.comparison.experiments)} runs"
        )
        console.print(
            f"{rows['train']:,} rows to train on, {rows['validation']:,} for "
            f"validation, {rows['test']:,} for the test"
        )
        if facts["note"]:
            console.print(f"[yellow]Not the published task:[/] {facts['note']}")
        console.print(f"Without attention: {', '.join(baselines)}")
        console.print(f"Results: {self.comparison.output}", soft_wrap=True)


def exit_code(results: list[Any]) -> int:
    """Returns 1 if a run failed, else 0."""
    return int(any(result.status == "failed" for result in results))
