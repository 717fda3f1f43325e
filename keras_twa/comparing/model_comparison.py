"""The comparison of variants of a model: its table, plots, report and models."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_twa import layers
from keras_twa import tasks
from keras_twa.comparing.page import as_html
from keras_twa.comparing.page import as_text
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.report import write_report
from keras_twa.experiments.results import Result
from keras_twa.experiments.run import load_model
from keras_twa.experiments.summary import Summary
from keras_twa.tasks import stored
from keras_twa.tasks.task import AS_GIVEN

if TYPE_CHECKING:
    import pandas


class ModelComparison:
    """What `keras_twa.compare` returns: the results of all variants.

    In a notebook it shows a table and plots; `print` shows the table.

    Args:
        comparison: The `Comparison` of the runs.
        skipped: Why a mechanism does not fit the model, by its name.
    """

    def __init__(
        self, comparison: Comparison, skipped: dict[str, str] | None = None
    ) -> None:
        self._comparison = comparison
        self.folder = comparison.output
        self.skipped = dict(skipped or {})
        first = comparison.experiments[0]
        self._rows = tasks.load(first.task, first.data, first.settings)

    def run(
        self,
        workers: int | None = 1,
        time_limit: float | None = None,
        verbose: bool = True,
    ) -> None:
        """Runs what is not complete.

        Args:
            workers: How many runs at once; `None` for one per GPU or core.
            time_limit: Seconds after which it stops.
            verbose: Whether to show the progress.

        Raises:
            KeyboardInterrupt: After the runs have saved their state.
        """
        from rich.console import Console

        from keras_twa.experiments.terminal import ProgressView

        self._comparison.prepare(self._rows)
        if not verbose:
            self._comparison.run(lambda *_: None, time_limit, workers)
            return
        console = Console(highlight=False)
        with ProgressView(console, self._comparison.planned) as view:
            self._comparison.run(view, time_limit, workers)

    @property
    def summary(self) -> Summary:
        """The results, read from the folder."""
        return Summary.load(self.folder)

    @property
    def results(self) -> list[Result]:
        """The result of each run, also of learning rates that were not chosen."""
        return self.summary.runs

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each variant and for each trivial baseline.

        The index is the text of the mechanism, `as_given` for the model as it is. The
        columns: `test` (mean over seeds), `interval` (half width of its 95 % t
        interval), `difference` (from the model as given, over common seeds) and
        `difference_interval`, `validation` (the best), `parameters`, `learning_rate`
        (with a sweep), `seconds_per_epoch`, `compile_seconds`, `memory_bytes`, `runs`,
        `failed`, and `kind` ("model" or "trivial").
        """
        import pandas

        summary = self.summary
        rows: dict[str, dict[str, Any]] = {}
        for each in summary.mechanisms:
            score, difference = each.score, summary.difference(each)
            validation = [run.best_validation for run in each.completed]
            rates = {run.experiment.learning_rate for run in each.completed}
            rows[each.name] = {
                "kind": "model",
                "test": score and score.mean,
                "interval": score and score.half_width,
                "difference": difference and difference.mean,
                "difference_interval": difference and difference.half_width,
                "validation": summary.metric.best(
                    value for value in validation if value is not None
                ),
                "learning_rate": next(iter(rates), None),
                "runs": len(each.completed),
                "failed": sum(run.status == "failed" for run in each.runs),
            }
            for column, attribute in (
                ("parameters", "parameters"),
                ("seconds_per_epoch", "seconds_per_epoch"),
                ("compile_seconds", "compile_seconds"),
                ("memory_bytes", "model_memory"),
            ):
                mean = each.mean(attribute)
                rows[each.name][column] = mean and mean.mean
        for name, value in summary.facts["baselines"].items():
            rows[name] = {"kind": "trivial", "test": value}
        frame = pandas.DataFrame.from_dict(rows, orient="index")
        frame.index.name = "attention"
        frame.columns.name = summary.metric.name
        return frame

    @property
    def best(self) -> str | None:
        """The text of the mechanism with the best mean validation score.

        The test rows have no part in it. `None` if no run is complete.
        """
        metric = self.summary.metric
        means: dict[str, float] = {}
        for each in self.summary.mechanisms:
            found = each.mean("best_validation")
            if found is not None:
                means[each.name] = found.mean
        wanted = metric.best(means.values())
        return next((name for name, mean in means.items() if mean == wanted), None)

    def model(self, attention: Any = None, seed: int | None = None) -> Any:
        """Returns a trained model, compiled, with the weights that were tested.

        Args:
            attention: The mechanism, as it was given to `compare`, or "as_given".
                Defaults to `best`.
            seed: The seed. Defaults to the first that is complete.

        Raises:
            ValueError: If there is no such run, or it is not complete.
        """
        text = self.best if attention is None else attention
        if text != AS_GIVEN and text is not None:
            text = layers.text_of(text)
        runs = [run for each in self.summary.mechanisms for run in each.completed]
        known = [(run.experiment.attention, run.experiment.seed) for run in runs]
        for run in runs:
            experiment = run.experiment
            if experiment.attention == text and seed in (None, experiment.seed):
                return self._loaded(experiment)
        raise ValueError(
            f"There is no complete run of it; complete are {known}. "
            f"Received: attention={attention!r}, seed={seed!r}"
        )

    def report(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """Writes the report as `report.html` and `report.md`.

        Args:
            folder: Where to. Defaults to the folder of the comparison.

        Returns:
            The path of the HTML file, which needs no other file.
        """
        return write_report(self.folder, folder)

    def _loaded(self, experiment: Experiment) -> Any:
        model = load_model(experiment, self._rows, self.folder / experiment.name)
        place = self.folder / tasks.registry.STORED_FOLDER
        stored.Stored(place).compile(model, experiment.learning_rate)
        return model

    def __str__(self) -> str:
        return as_text(self.summary)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self.summary)
