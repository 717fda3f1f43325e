"""A comparison of runs, each in a separate process."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_twa import files
from keras_twa import tasks
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.lock import LOCK
from keras_twa.experiments.lock import locked
from keras_twa.experiments.results import FILE_NAME
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import load_results
from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import write_json
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import check_same_rows
from keras_twa.tasks.fingerprint import differences
from keras_twa.tasks.settings import Settings

COMPARISON_FILE = "comparison.json"
# Earlier versions knew one metric, accuracy, and settings of tasks among the others.
EARLIER_FORMAT = 1
FORMAT = 2
LOG = "log.txt"
SPEC = "experiment.json"
# How long a run may take to reach its next batch when asked to stop.
SECONDS_TO_STOP = 60.0

OnEvent = Callable[[Experiment, dict[str, Any]], None]


class Comparison:
    """The runs of one task, preset and backend in one folder.

    Args:
        output: The folder. It may be missing.
        experiments: The `Experiment`s, which differ only in mechanism and seed.
        backend: Name of the Keras backend.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        experiments: list[Experiment],
        backend: str,
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
        self._fingerprint: Fingerprint = {}

    def check_writable(self) -> None:
        """Checks the folder before any slow work.

        Raises:
            ValueError: If it has contents that are not a comparison.
            OSError: If it is not writable.
        """
        check_folder(self.output)
        if (self.output / COMPARISON_FILE).exists() or not self.output.exists():
            return
        own = {LOCK, *(part.name for part in self._leftovers)}
        if any(entry.name not in own for entry in self.output.iterdir()):
            raise ValueError(
                "The output folder is not empty, and is not a comparison. "
                f"Received: {self.output}"
            )

    @property
    def _leftovers(self) -> list[Path]:
        return files.leftovers(self.output / COMPARISON_FILE)

    @property
    def _wanted(self) -> dict[str, Any]:
        first = self.experiments[0]
        return {
            "task": first.task,
            "preset": first.preset,
            "data": first.data,
            "backend": self.backend,
            "settings": first.to_json()["settings"],
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
        self._fingerprint = rows.fingerprint
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
        }
        self.output.mkdir(parents=True, exist_ok=True)
        write_json(path, facts)
        return facts

    def run(self, on_event: OnEvent, time_limit: float | None = None) -> list[Result]:
        """Runs the experiments that are not complete, one after another.

        Args:
            on_event: Called with each run's progress, and with its `Result` as
                `{"event": "end", "result": result}`.
            time_limit: Seconds for all of them.

        Returns:
            The results of all started runs.

        Raises:
            BlockingIOError: If another process works in the folder.
            KeyboardInterrupt: After the current run has saved its state.
        """
        deadline = None if time_limit is None else time.monotonic() + time_limit
        with locked(self.output):
            for part in self._leftovers:
                part.unlink(missing_ok=True)
            return self._run(on_event, deadline)

    def _run(self, on_event: OnEvent, deadline: float | None) -> list[Result]:
        results = []
        for experiment in self.experiments:
            folder = self.output / experiment.name
            result = _load(folder, experiment)
            left = None if deadline is None else deadline - time.monotonic()
            if result is None or result.status != "completed":
                if left is not None and left <= 0:
                    if result is not None:
                        results.append(result)
                    continue
                result = _run_in_process(
                    result or Result(experiment),
                    folder,
                    left,
                    on_event,
                    self._fingerprint,
                )
            results.append(result)
            on_event(experiment, {"event": "end", "result": result})
        return results


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


def _load(folder: Path, experiment: Experiment) -> Result | None:
    path = folder / FILE_NAME
    if not path.exists():
        return None
    result = Result.load(path)
    if result.experiment != experiment:
        raise ValueError(f"The folder contains another experiment. Received: {folder}")
    return result


def _run_in_process(
    earlier: Result,
    folder: Path,
    time_limit: float | None,
    on_event: OnEvent,
    fingerprint: Fingerprint,
) -> Result:
    experiment = earlier.experiment
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / SPEC
    write_json(spec, experiment.to_json())
    module = "keras_twa.experiments.run"
    # Not from the current folder (-P), which may contain modules with equal names.
    command = [sys.executable, "-P", "-m", module, str(spec), str(folder)]
    command += ["--fingerprint", json.dumps(fingerprint)]
    if time_limit is not None:
        command += ["--time-limit", str(time_limit)]
    places = [*(experiment.defined_in or {}).values()]
    task = tasks.place_of(experiment.task)
    if task is not None:
        command += ["--task", task]
        places.append(task)
    for found_in in filter(None, map(_folder_of, places)):
        command += ["--path", found_in]
    # The new process imports the same package as this one.
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # PyTorch's threads wait busily for each other, which takes thirty times as
        # long when another process uses the cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
    }
    with (folder / LOG).open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        try:
            with process.stdout or io.StringIO() as events:
                for line in events:
                    on_event(experiment, json.loads(line))
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
    result = _load(folder, experiment) or earlier
    if result.status == "running" or result.starts == earlier.starts:
        # The process could not save this itself.
        result.status = "failed"
        result.reason = _crash(code, folder / LOG)
        result.save(folder / FILE_NAME)
    return result


def _folder_of(place: str) -> str | None:
    """The folder from which this process imports the module of a class."""
    name = place.partition(":")[0]
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    # A package is a folder with `__init__.py` in it.
    depth = name.count(".") + hasattr(module, "__path__")
    return str(Path(file).resolve().parents[depth])


def _stop(process: subprocess.Popen[str]) -> None:
    """Asks a run to save its state and stop, and kills it after a while."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _crash(code: int, log: Path) -> str:
    if code < 0:
        return f"The process was ended by signal {-code}; see {log}"
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    last = lines[-1][:300] if lines else "no message"
    return f"The process ended with code {code}: {last}"
