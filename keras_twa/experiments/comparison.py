"""A comparison of runs, each in a separate process."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_twa import files
from keras_twa import tasks
from keras_twa.experiments import sweep
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.lock import LOCK
from keras_twa.experiments.process import OnEvent
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import load_results
from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import write_json
from keras_twa.experiments.together import run_together
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import check_same_rows
from keras_twa.tasks.fingerprint import differences
from keras_twa.tasks.registry import STORED_FOLDER
from keras_twa.tasks.settings import Settings

COMPARISON_FILE = "comparison.json"
# Earlier versions knew one metric, accuracy, and settings of tasks among the others.
EARLIER_FORMAT = 1
FORMAT = 2


class Comparison:
    """The runs of one task, preset and backend in one folder.

    Args:
        output: The folder. It may be missing.
        experiments: The `Experiment`s, which differ only in mechanism and seed.
        backend: Name of the Keras backend.
        learning_rates: Rates of a sweep: the first seed of each mechanism runs with all
            of them, and the others with the one that was best on the validation rows.
            Defaults to none: all runs have the rate of the settings.

    Raises:
        ValueError: If there are no experiments, or a run could not import its task or
            mechanism.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        experiments: list[Experiment],
        backend: str,
        learning_rates: Sequence[float] = (),
    ) -> None:
        if not experiments:
            raise ValueError("There is nothing to compare. Received: experiments=[]")
        for experiment in experiments:
            experiment.check_importable()
        # Raises an error for a task that a run could not import.
        tasks.place_of(experiments[0].task)
        self.output = Path(output)
        self.experiments = experiments
        self.backend = backend
        self.learning_rates = sweep.check_rates(learning_rates)
        self.fingerprint: Fingerprint = {}

    def check_writable(self) -> None:
        """Checks the folder before any slow work.

        Raises:
            ValueError: If it has contents that are not a comparison.
            OSError: If it is not writable.
        """
        check_output(self.output)

    def remove_leftovers(self) -> None:
        """Removes what a killed process left of the file of the comparison."""
        for part in files.leftovers(self.output / COMPARISON_FILE):
            part.unlink(missing_ok=True)

    @property
    def first_runs(self) -> list[Experiment]:
        """The sweep of the first seed, or all runs if there is no sweep."""
        if not self.learning_rates:
            return self.experiments
        return sweep.first_runs(self.experiments, self.learning_rates)

    def other_runs(self, results: Sequence[Result]) -> list[Experiment]:
        """The other seeds, with the rates that a sweep chose.

        Args:
            results: The results of `first_runs`.
        """
        if not self.learning_rates:
            return []
        return sweep.other_runs(self.experiments, results)

    @property
    def planned(self) -> list[Experiment]:
        """All runs; where the rate is not chosen yet, with the first one."""
        if not self.learning_rates:
            return self.experiments
        first, rate = self.experiments[0].seed, self.learning_rates[0]
        later = [each for each in self.experiments if each.seed != first]
        return [
            *self.first_runs,
            *(dataclasses.replace(each, learning_rate=rate) for each in later),
        ]

    @property
    def _wanted(self) -> dict[str, Any]:
        first = self.experiments[0]
        return {
            "task": first.task,
            "preset": first.preset,
            "data": first.data,
            "backend": self.backend,
            "settings": first.to_json()["settings"],
            "learning_rates": [*self.learning_rates],
        }

    def prepare(self, rows: tasks.Rows) -> dict[str, Any]:
        """Creates the folder with a file that describes the comparison.

        Args:
            rows: The rows, for the baselines without attention.

        Returns:
            The description.

        Raises:
            ValueError: If the folder has another comparison, one on other rows, or
                other contents.
            OSError: If it is not writable.
        """
        self.check_writable()
        self.fingerprint = rows.fingerprint
        path = self.output / COMPARISON_FILE
        if path.exists():
            _check_same(path, self._wanted)
            facts = read_json(path)
            check_same_rows(facts.get("fingerprint"), rows.fingerprint, path)
            # All results, because they share tables.
            load_results(self.output, rows.fingerprint)
            return facts
        first = self.experiments[0]
        task = tasks.get(first.task)
        facts = {
            "format": FORMAT,
            **self._wanted,
            "title": task.title,
            "metric": dataclasses.asdict(task.metric),
            "note": task.note(rows, first.settings),
            "caveats": list(task.caveats),
            "source": rows.source,
            "rows": rows.counts,
            "fingerprint": rows.fingerprint,
            "baselines": task.baselines(rows),
            "explanations": dict(task.explanations),
            "baseline": task.baseline,
            "used": None if task.used is None else [*task.used],
            "published": task.published,
        }
        self.output.mkdir(parents=True, exist_ok=True)
        write_json(path, facts)
        return facts

    def run(
        self,
        on_event: OnEvent,
        time_limit: float | None = None,
        workers: int | None = 1,
    ) -> list[Result]:
        """Runs the experiments that are not complete, each in a process of its own.

        Runs that differ in the learning rate only share a process. The rates of a sweep
        end with the first one that solves the task.

        Args:
            on_event: Called with each run's progress, and with its `Result` as
                `{"event": "end", "result": result}`.
            time_limit: Seconds for all of them.
            workers: How many run at once. Each has its own GPU, or an equal share of
                the processor's cores. `None`: one per GPU, or one per core.

        Returns:
            The results of all started runs.

        Raises:
            BlockingIOError: If another process works in the folder.
            KeyboardInterrupt: After the current runs have saved their state.
        """
        return run_together([self], on_event, time_limit, workers)


def check_output(path: Path) -> None:
    """Checks that a folder is free for a comparison, or has one.

    Raises:
        ValueError: If it has other contents.
        OSError: If it is not writable.
    """
    check_folder(path)
    if (path / COMPARISON_FILE).exists() or not path.exists():
        return
    parts = files.leftovers(path / COMPARISON_FILE)
    own = {LOCK, STORED_FOLDER, *(part.name for part in parts)}
    if any(entry.name not in own for entry in path.iterdir()):
        raise ValueError(
            f"The output folder is not empty, and is not a comparison. Received: {path}"
        )


def check_folder(path: Path) -> None:
    """Raises `OSError` unless a folder is writable or can be created.

    Raises:
        OSError: If it is not.
    """
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"Not a folder. Received: {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"The folder is not writable. Received: {folder}")


def _check_same(path: Path, wanted: dict[str, Any]) -> None:
    found = read_json(path)
    if found.get("format") not in (EARLIER_FORMAT, FORMAT):
        raise ValueError(
            f"Not a comparison of this version of keras_twa. Received: {path}"
        )
    # Earlier versions had no sweeps.
    found.setdefault("learning_rates", [])
    settings = dataclasses.asdict(Settings.from_json(found["settings"]))
    facts = {name: value for name, value in wanted.items() if name != "settings"}
    differing = [
        phrase
        for there, here in ((found, facts), (settings, wanted["settings"]))
        for phrase in differences({name: there.get(name) for name in here}, here)
    ]
    if differing:
        raise ValueError(
            "The output folder contains another comparison: "
            f"{'; '.join(differing)}. Choose another --output. "
            f"Received: {path.parent}"
        )
