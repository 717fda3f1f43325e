"""A run in a process of its own, and what is left of it if the process dies."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_twa import tasks
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.results import FILE_NAME
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import write_json
from keras_twa.experiments.worker import Worker
from keras_twa.tasks.fingerprint import Fingerprint

LOG = "log.txt"
SPEC = "experiment.json"
# How long a run may take to reach its next batch when asked to stop.
SECONDS_TO_STOP = 60.0
# Windows has no other signal.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)

OnEvent = Callable[[Experiment, dict[str, Any]], None]


def load_result(folder: Path, experiment: Experiment) -> Result | None:
    """Returns the result in the folder of a run, `None` if there is none yet.

    Raises:
        ValueError: If the folder has another experiment.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    result = Result.load(path)
    if result.experiment != experiment:
        raise ValueError(f"The folder contains another experiment. Received: {folder}")
    return result


class RunProcess:
    """One run, which starts or continues in a process of its own.

    Runs that differ from it in the learning rate only may follow in the same process,
    where nothing has to be compiled again. They end early once one solves the task.

    Args:
        earlier: The `Result` so far.
        output: The folder of the comparison.
        deadline: Time of `time.monotonic()` at which it must stop, or `None`.
        fingerprint: The fingerprint of the rows.
        backend: Name of the Keras backend.
        others: The `Result`s so far of the runs that follow in the process.
    """

    def __init__(
        self,
        earlier: Result,
        output: Path,
        deadline: float | None,
        fingerprint: Fingerprint,
        backend: str,
        others: Sequence[Result] = (),
    ) -> None:
        self.backend = backend
        self.earlier = [earlier, *others]
        self.experiment = earlier.experiment
        self.output = output
        self.folder = output / self.experiment.name
        self.deadline = deadline
        self.fingerprint = fingerprint
        self._process: int | None = None
        self._ended = threading.Event()
        self._stopped = False

    @property
    def too_late(self) -> bool:
        """Whether there is no time left to start it, or it was asked to stop."""
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or self._stopped

    def run(self, on_event: OnEvent, worker: Worker) -> list[Result]:
        """Runs it to its end, or until it is asked to stop.

        Args:
            on_event: Called with its progress.
            worker: The `Worker` that starts it.

        Returns:
            The `Result`s of the runs that were started, now or before.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / LOG

        def tell(event: dict[str, Any]) -> None:
            on_event(self.earlier[event.pop("run", 0)].experiment, event)

        left = None if self.deadline is None else self.deadline - time.monotonic()
        try:
            code = worker.run(
                self._arguments(worker.share.at_once),
                log,
                left,
                on_process=self._started,
                on_event=tell,
            )
        finally:
            self._ended.set()
        results = []
        for number, earlier in enumerate(self.earlier):
            result = self._after(earlier, code, is_first=number == 0)
            if result.starts or result.status == "failed":
                results.append(result)
        return results

    def _after(self, earlier: Result, code: int, is_first: bool) -> Result:
        """Returns the result of a run after the process has ended."""
        folder = self.output / earlier.experiment.name
        result = load_result(folder, earlier.experiment) or earlier
        not_begun = is_first and result.starts == earlier.starts
        interrupted = result.status == "running" and result.starts > 0
        if interrupted or not_begun:
            # The process could not save this itself.
            result.status = "failed"
            result.reason = _crash(code, self.folder / LOG)
            result.save(folder / FILE_NAME)
        return result

    def ask_to_stop(self) -> None:
        """Asks the run to save its state and stop."""
        self._stopped = True
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """Asks the run to stop, and kills it after a while."""
        self.ask_to_stop()
        if self._process is not None and not self._ended.wait(SECONDS_TO_STOP):
            self._signal(KILL)
            self._ended.wait()

    def _started(self, process: int) -> None:
        self._process = process
        if self._stopped:
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self._process is not None and not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, number)

    def _arguments(self, at_once: int) -> list[str]:
        found = []
        for earlier in self.earlier:
            folder = self.output / earlier.experiment.name
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / SPEC, earlier.experiment.to_json())
            found += [str(folder / SPEC), str(folder)]
        found += ["--at-once", str(at_once)]
        found += ["--fingerprint", json.dumps(self.fingerprint)]
        places = [*(self.experiment.defined_in or {}).values()]
        task = tasks.place_of(self.experiment.task)
        if task is not None:
            found += ["--task", task]
            places.append(task)
        modules = [place.partition(":")[0] for place in places]
        for place in filter(None, map(import_folder, modules)):
            found += ["--path", place]
        return found


def import_folder(name: str) -> str | None:
    """Returns the folder from which this process imports a module, if it is a file's.

    Args:
        name: Name of the module.
    """
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    # A package is a folder with `__init__.py` in it.
    depth = name.count(".") + hasattr(module, "__path__")
    return str(Path(file).resolve().parents[depth])


def _crash(code: int, log: Path) -> str:
    if code < 0:
        return f"The process was ended by signal {-code}; see {log}"
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    last = lines[-1][:300] if lines else "no message"
    return f"The process ended with code {code}: {last}"
