"""A share of the machine in which runs follow each other."""

import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOST = "keras_twa.experiments.host"
# Which GPUs the processes of CUDA see.
VISIBLE = "CUDA_VISIBLE_DEVICES"


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
    def environment(self) -> dict[str, str]:
        """The variables of the run's environment."""
        found = {"OMP_NUM_THREADS": str(len(self.cores))} if self.cores else {}
        return found if self.gpu is None else {**found, VISIBLE: self.gpu}


class Worker:
    """Runs one after another with the same share of the machine.

    Args:
        share: The `Share`.
        backend: Name of the Keras backend.
        programs: A folder in which runs find what earlier ones compiled, or `None`.
        fork: Whether the runs are forks of one process, which has imported Keras and
            the backend.
    """

    def __init__(
        self, share: Share, backend: str, programs: str | None, fork: bool
    ) -> None:
        self.share = share
        self.backend = backend
        self.programs = programs
        self.fork = fork
        self._host: subprocess.Popen[str] | None = None

    def run(
        self,
        arguments: list[str],
        log: Path,
        time_limit: float | None,
        on_process: Callable[[int], None],
        on_event: Callable[[dict[str, Any]], None],
    ) -> int:
        """Runs a process to its end.

        Args:
            arguments: Those of `keras_twa.experiments.run`.
            log: The file of what it prints.
            time_limit: Seconds after which it must stop, or `None`.
            on_process: Called with the number of the process.
            on_event: Called with each event.

        Returns:
            Its exit code, or the negative number of the signal that ended it.
        """
        host = self._host or self._start(log)
        request = {"arguments": arguments, "log": str(log), "time_limit": time_limit}
        requests, answers = host.stdin or io.StringIO(), host.stdout or io.StringIO()
        try:
            requests.write(json.dumps(request) + "\n")
            requests.flush()
        except BrokenPipeError:
            pass  # It died, which its exit code tells.
        try:
            for line in answers:
                answer = json.loads(line)
                if "exit" in answer:
                    return int(answer["exit"])
                if "process" in answer:
                    on_process(answer["process"])
                else:
                    on_event(answer)
        except BaseException:
            # The run stops when nobody reads its events.
            self.close()
            raise
        return self.close()

    def close(self) -> int:
        """Ends the process that starts the runs, and returns its exit code."""
        host, self._host = self._host, None
        if host is None:
            return 0
        # Closes its streams, and waits.
        with host:
            pass
        return host.returncode

    def _start(self, log: Path) -> subprocess.Popen[str]:
        # Not from the current folder (-P), which may contain modules with equal names.
        command = [sys.executable, "-P", "-m", HOST]
        if self.share.cores:
            command += ["--cores", ",".join(map(str, self.share.cores))]
        if self.fork:
            command.append("--fork")
        with log.open("a", encoding="utf-8") as errors:
            self._host = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self._environment(),
            )
        return self._host

    def _environment(self) -> dict[str, str]:
        # The new process imports the same package as this one.
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        compiled = {}
        if self.programs is not None and self.backend == "jax":
            compiled = {
                "JAX_COMPILATION_CACHE_DIR": self.programs,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
        return {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            # PyTorch's threads wait busily for each other, which takes thirty times as
            # long when another process uses the cores.
            "OMP_WAIT_POLICY": "PASSIVE",
            **compiled,
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            # A program may have chosen it in another way than by this variable.
            "KERAS_BACKEND": self.backend,
            **self.share.environment,
        }
