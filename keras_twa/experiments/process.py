"""A run in a process of its own, and what is left of it if the process dies."""

import dataclasses
import io
import json
import os
import subprocess
import sys
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
from keras_twa.tasks.fingerprint import Fingerprint

LOG = "log.txt"
SPEC = "experiment.json"
# Which GPUs the processes of CUDA see.
VISIBLE = "CUDA_VISIBLE_DEVICES"
# How long a run may take to reach its next batch when asked to stop.
SECONDS_TO_STOP = 60.0

OnEvent = Callable[[Experiment, dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Share:
    """What a run gets of its machine.

    Args:
        cores: Its cores; empty for all.
        at_once: How many runs share the machine.
        gpu: The name of its GPU; `None` for what CUDA chooses.
    """

    cores: tuple[int, ...] = ()
    at_once: int = 1
    gpu: str | None = None

    @property
    def arguments(self) -> list[str]:
        """The arguments of the run's command."""
        if not self.cores:
            return []
        cores = ",".join(map(str, self.cores))
        return ["--cores", cores, "--at-once", str(self.at_once)]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the run's environment."""
        found = {"OMP_NUM_THREADS": str(len(self.cores))} if self.cores else {}
        return found if self.gpu is None else {**found, VISIBLE: self.gpu}


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
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    @property
    def too_late(self) -> bool:
        """Whether there is no time left to start it, or it was asked to stop."""
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or self._stopped

    def run(self, on_event: OnEvent, share: Share) -> list[Result]:
        """Runs it to its end, or until it is asked to stop.

        Args:
            on_event: Called with its progress.
            share: Its share of the machine.

        Returns:
            The `Result`s of the runs that were started, now or before.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                self._command(share),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(share, self.backend),
            )
            self._process = process
            try:
                with process.stdout or io.StringIO() as events:
                    for line in events:
                        event = json.loads(line)
                        earlier = self.earlier[event.pop("run", 0)]
                        on_event(earlier.experiment, event)
                code = process.wait()
            except BaseException:
                self.stop()
                raise
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
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Asks the run to stop, and kills it after a while."""
        self.ask_to_stop()
        if self._process is None:
            return
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _command(self, share: Share) -> list[str]:
        runs = []
        for earlier in self.earlier:
            folder = self.output / earlier.experiment.name
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / SPEC, earlier.experiment.to_json())
            runs += [str(folder / SPEC), str(folder)]
        module = "keras_twa.experiments.run"
        # Not from the current folder (-P), which may contain modules with equal names.
        command = [sys.executable, "-P", "-m", module, *runs]
        command += ["--fingerprint", json.dumps(self.fingerprint)]
        if self.deadline is not None:
            left = max(1e-3, self.deadline - time.monotonic())
            command += ["--time-limit", str(left)]
        places = [*(self.experiment.defined_in or {}).values()]
        task = tasks.place_of(self.experiment.task)
        if task is not None:
            command += ["--task", task]
            places.append(task)
        modules = [place.partition(":")[0] for place in places]
        for found_in in filter(None, map(import_folder, modules)):
            command += ["--path", found_in]
        return [*command, *share.arguments]


def _environment(share: Share, backend: str) -> dict[str, str]:
    # The new process imports the same package as this one.
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # PyTorch's threads wait busily for each other, which takes thirty times as
        # long when another process uses the cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        # A program may have chosen it in another way than by this variable.
        "KERAS_BACKEND": backend,
        **share.environment,
    }


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
