"""Starts runs, each in a process of its own: `python -m keras_twa.experiments.host`.

It reads requests from its standard input, one JSON object in a line:

    {"arguments": arguments of `keras_twa.experiments.run`, "log": path of a file,
     "time_limit": seconds or null}

and answers on its standard output with the number of the run's process, the events of
the run, and its exit code. With `--fork`, importing Keras and a backend, which takes
seconds, is done once: each run is a fork of this process, which itself never computes
anything. Without, this process is the run, and ends with it.
"""

import argparse
import gc
import importlib
import json
import os
import signal
import sys
import time
from typing import Any

from keras_twa.experiments import run
from keras_twa.experiments.stop import StopSignal

# What every run imports.
IMPORTS = (
    "keras",
    "keras_twa.experiments.training",
    "keras_twa.layers",
    "keras_twa.models",
)


def main(arguments: list[str] | None = None) -> int:
    """Answers requests until the input ends. Returns the exit code."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cores", help="cores to use, as 0,1,2")
    parser.add_argument("--fork", action="store_true", help="for several runs")
    options = parser.parse_args(arguments)
    if options.cores is not None and hasattr(os, "sched_setaffinity"):
        # Before a backend is imported, which counts them.
        os.sched_setaffinity(0, map(int, options.cores.split(",")))
    # Ctrl-C reaches all processes, but it is the runs that must save their state.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries print too, but the standard output must contain only answers.
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        start, request = time.monotonic(), json.loads(line)
        if not options.fork:
            return _run(request, start, answers)
        for name in IMPORTS:
            importlib.import_module(name)
        process = os.fork()
        if process == 0:
            return _run(request, start, answers)
        _, status = os.waitpid(process, 0)
        _answer(answers, {"exit": os.waitstatus_to_exitcode(status)})
    return 0


def _run(request: dict[str, Any], start: float, answers: int) -> int:
    """Becomes the process of a run, and returns its exit code."""
    limit = request["time_limit"]
    if limit is not None:
        limit = max(1e-3, limit - (time.monotonic() - start))
    stop = StopSignal(limit)
    # Before anyone knows the process, and could stop it.
    stop.listen()
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, stream in ((nothing, 0), (answers, 1), (log, 2)):
        os.dup2(source, stream)
    _answer(answers, {"process": os.getpid()})
    os.close(answers)
    return run.main(request["arguments"], stop)


def _answer(answers: int, values: dict[str, int]) -> None:
    os.write(answers, (json.dumps(values) + "\n").encode())


if __name__ == "__main__":
    code = main()
    # The end of the process frees everything at once. Python's last search for garbage
    # among all objects of a backend would take a second before that.
    gc.freeze()
    sys.exit(code)
