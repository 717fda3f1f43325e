"""Runs at once on one machine, each with a GPU or a share of the cores of its own."""

import os
import queue
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.process import OnEvent
from keras_twa.experiments.process import RunProcess
from keras_twa.experiments.results import Result
from keras_twa.experiments.worker import VISIBLE
from keras_twa.experiments.worker import Share
from keras_twa.experiments.worker import Worker


def run_all(
    runs: Sequence[RunProcess], on_event: OnEvent, workers: int | None = 1
) -> list[Result]:
    """Runs processes, several at once.

    Args:
        runs: The runs. If several run at once, they start from the last one: the first
            is usually the cheapest, and the whole ends sooner if it starts late.
        on_event: Called with the progress of each, by one thread at a time.
        workers: How many run at once; `None` for one per GPU, or else one per core.

    Returns:
        The results of the runs that were started, now or before.

    Raises:
        BaseException: What interrupts it, after the runs have saved their state.
    """
    if not runs:
        return []
    with tempfile.TemporaryDirectory(prefix="keras_twa-") as programs:
        backend, fork = runs[0].backend, _can_fork()
        places = shares(min(workers or len(shares(None)), len(runs)))
        hosts = [Worker(place, backend, programs, fork) for place in places]
        try:
            return _run_all(runs, on_event, hosts)
        finally:
            for host in hosts:
                host.close()


def _run_all(
    runs: Sequence[RunProcess], on_event: OnEvent, workers: Sequence[Worker]
) -> list[Result]:
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)
    lock, broken = threading.Lock(), threading.Event()

    def tell(experiment: Experiment, event: dict[str, Any]) -> None:
        with lock:
            on_event(experiment, event)

    def run(each: RunProcess) -> list[Result]:
        if broken.is_set() or each.too_late:
            return [result for result in each.earlier if result.starts]
        worker = free.get()
        try:
            results = each.run(tell, worker)
            for result in results:
                tell(result.experiment, {"event": "end", "result": result})
        except BaseException:
            # Before this thread starts the next one.
            broken.set()
            raise
        finally:
            free.put(worker)
        return results

    ordered = runs if len(workers) == 1 else runs[::-1]
    with ThreadPoolExecutor(len(workers)) as pool:
        futures = [pool.submit(run, each) for each in ordered]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            found = [future.result() for future in futures if future.done()]
        except BaseException:
            for each in runs:
                each.ask_to_stop()
            for each in runs:
                each.stop()
            raise
    return [result for results in found for result in results]


def shares(workers: int | None) -> list[Share]:
    """Returns what each of several workers gets of this machine.

    Args:
        workers: How many; `None` for one per GPU, or else one per core.
    """
    gpus, cores = _gpus(), _cores()
    count = workers or len(gpus) or len(cores)
    if count == 1:
        return [Share()]
    found = []
    for index in range(count):
        own = cores[index::count] or [cores[index % len(cores)]]
        gpu = gpus[index % len(gpus)] if gpus else None
        found.append(Share(tuple(own), count, gpu))
    return found


def _can_fork() -> bool:
    """Returns whether a process that has imported a backend can be copied.

    Only on Linux, and not if the backend may have opened an accelerator.
    """
    devices = ("nvidia[0-9]*", "kfd", "accel*", "vfio/*")
    found = (path for each in devices for path in Path("/dev").glob(each))
    return sys.platform == "linux" and not any(found)


def _cores() -> list[int]:
    """Returns the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _gpus() -> list[str]:
    """Returns the names of the NVIDIA GPUs that this process may use."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip()]
    # Asking a backend would make this process take memory of them.
    names = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia*")]
    return sorted((name for name in names if name.isdigit()), key=int)
