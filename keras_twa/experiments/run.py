"""Runs experiments in this process: `python -m keras_twa.experiments.run`.

Each run has a separate process, so that its peak memory is measured separately and an
error cannot stop the others. Only runs that differ in the learning rate alone share a
process, and what is compiled in it.
"""

import argparse
import dataclasses
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_twa import tasks
from keras_twa.experiments.attention_maps import ATTENTION_MAPS
from keras_twa.experiments.attention_maps import save_attention_maps
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.lock import locked
from keras_twa.experiments.results import FILE_NAME
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import read_json
from keras_twa.experiments.stop import Stopped
from keras_twa.experiments.stop import StopSignal
from keras_twa.experiments.text import error_text
from keras_twa.tasks.fingerprint import Fingerprint
from keras_twa.tasks.fingerprint import check_same_rows

CHECKPOINT = "checkpoint.npz"
WEIGHTS = "best.weights.h5"
SECONDS_BETWEEN_CHECKPOINTS = 30.0
SECONDS_BETWEEN_EVENTS = 0.2

Event = dict[str, Any]


@dataclasses.dataclass
class Shared:
    """What the runs of a sweep of learning rates share in one process.

    Args:
        data: The rows, once they are loaded.
        training: The training, once it is compiled.
        memory: The memory before there was a model.
        lasts: Whether other runs follow, for which the training is kept.
    """

    data: Any = None
    training: Any = None
    memory: int | None = None
    lasts: bool = True


def run(
    experiment: Experiment,
    directory: str | os.PathLike[str],
    stop: StopSignal | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    build_model: Callable[[Experiment, Any], Any] | None = None,
    fingerprint: Fingerprint | None = None,
    at_once: int = 1,
    shared: Shared | None = None,
) -> Result:
    """Runs an experiment, or continues it.

    It continues from the checkpoint in the folder. Without one, it restarts.

    Args:
        experiment: The `Experiment`.
        directory: Folder for the result, the checkpoint and the weights.
        stop: Decides when to stop. The run continues when it is started again.
        on_event: Called with each event to show.
        build_model: Function from the experiment and its data to a Keras model.
            Defaults to the task's own.
        fingerprint: The required fingerprint of the rows. By default, any
            rows are valid in a new folder.
        at_once: How many runs share this machine, for the record.
        shared: What it shares with earlier runs in this process, which differ from it
            in the learning rate only. Defaults to nothing.

    Returns:
        The `Result`, which is also in `directory`. It contains errors of the
        training, which are not raised.

    Raises:
        ValueError: If the folder has another experiment, or one on other rows.
    """
    stop = stop or StopSignal()
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    # A process of a killed comparison may still be compiling its last step.
    with locked(folder, wait_seconds=600):
        path = folder / FILE_NAME
        result = Result.load(path) if path.exists() else Result(experiment)
        if result.experiment != experiment:
            raise ValueError(
                f"The folder contains another experiment. Received: {folder}"
            )
        check_same_rows(result.fingerprint, fingerprint, folder)
        if result.status == "completed":
            if result.fingerprint:
                check_same_rows(result.fingerprint, _load(result).fingerprint, folder)
            # The process may have been killed before it could do this.
            (folder / CHECKPOINT).unlink(missing_ok=True)
            return result
        build_model = build_model or _build_model
        return _run(
            result,
            folder,
            stop,
            on_event,
            build_model,
            fingerprint,
            at_once,
            shared or Shared(lasts=False),
        )


def _run(
    result: Result,
    folder: Path,
    stop: StopSignal,
    on_event: Callable[[Event], None],
    build_model: Callable[[Experiment, Any], Any],
    fingerprint: Fingerprint | None,
    at_once: int,
    shared: Shared,
) -> Result:
    started = time.monotonic()
    path = folder / FILE_NAME
    result.starts += 1
    earlier = result.wall_seconds
    try:
        if shared.data is None:
            shared.data = _load(result)
    except Exception as error:  # any error: the other runs continue
        _fail(result, error)
        result.save(path)
        return result
    rows = shared.data.fingerprint
    check_same_rows(fingerprint or result.fingerprint, rows, folder)
    if not (folder / CHECKPOINT).exists():
        # Results alone are not enough to continue: the run restarts.
        result = Result(result.experiment, starts=result.starts, fingerprint=rows)
        earlier = 0.0
    result.status, result.reason = "running", ""
    result.save(path)
    try:
        training = _prepared(result, shared, build_model, at_once)
        _train_and_test(training, shared.memory, folder, stop, on_event)
        result.status = "completed"
    except Stopped as stopped:
        result.status, result.reason = "stopped", str(stopped)
    except Exception as error:  # any error: the other runs continue
        _fail(result, error)
    result.wall_seconds = earlier + time.monotonic() - started
    result.save(path)
    if result.status == "completed":
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def _load(result: Result) -> tasks.Rows:
    experiment = result.experiment
    return tasks.load(experiment.task, experiment.data, experiment.settings)


def _fail(result: Result, error: Exception) -> None:
    traceback.print_exception(error)
    result.status, result.reason = "failed", error_text(error)


def _prepared(
    result: Result,
    shared: Shared,
    build_model: Callable[[Experiment, Any], Any],
    at_once: int,
) -> Any:
    """Returns the `Training` of a run: a new one, or that of the runs before."""
    # Keras takes seconds to import, so signals are handled before.
    import keras

    from keras_twa.experiments import machine
    from keras_twa.experiments.training import Training

    experiment = result.experiment
    result.environment = machine.environment() | {"runs at once": at_once}
    machine.reset_peak_memory()
    if shared.training is not None:
        result.memory = {"before_model": shared.memory}
        shared.training.restart(experiment, result)
        return shared.training
    keras.utils.set_random_seed(experiment.seed)
    shared.memory = machine.peak_memory()
    result.memory = {"before_model": shared.memory}
    model = build_model(experiment, shared.data)
    training = Training(experiment, shared.data, model, result)
    if shared.lasts and training.rates is not None:
        training.keep_beginning()
        shared.training = training
    return training


def _train_and_test(
    training: Any,
    before: int | None,
    folder: Path,
    stop: StopSignal,
    on_event: Callable[[Event], None],
) -> None:
    from keras_twa.experiments import machine

    result, data, model = training.result, training.data, training.model
    restored = training.restore(folder / CHECKPOINT)
    on_event({"event": "start", "restored": restored, "steps": training.total_steps})
    last_save = last_event = time.monotonic()

    def save() -> None:
        nonlocal last_save
        training.save(folder / CHECKPOINT)
        last_save = time.monotonic()

    def on_batch(
        phase: str, batch: int, batches: int, values: dict[str, float]
    ) -> None:
        nonlocal last_event
        now = time.monotonic()
        if phase == "train" and now - last_save > SECONDS_BETWEEN_CHECKPOINTS:
            save()
        if now - last_event > SECONDS_BETWEEN_EVENTS or batch == batches:
            last_event = now
            on_event(
                {
                    "event": "batch",
                    "phase": phase,
                    "epoch": training.epoch + 1,
                    "batch": batch,
                    "batches": batches,
                    "steps_done": result.steps,
                    **values,
                }
            )
        stop.check()

    while not training.finished:
        try:
            training.train_epoch(on_batch)
        except Stopped:
            save()
            raise
        result.memory |= machine.memory(before)
        save()
        result.save(folder / FILE_NAME)
        on_event({"event": "epoch", **result.curve[-1]})
        stop.check()
    training.use_best_weights()
    model.save_weights(folder / WEIGHTS)
    save_attention_maps(model, data, folder / ATTENTION_MAPS)
    result.test = training.evaluate("test", on_batch)
    result.further_tests = {
        split: training.evaluate(split, on_batch)
        for split in getattr(data, "further_tests", ())
    }
    result.compile_seconds = training.clock.compile_seconds
    result.memory |= machine.memory(before)


def _build_model(experiment: Experiment, data: Any) -> Any:
    if experiment.defined_in:
        from keras_twa.layers.registry import register_from

        for name, place in experiment.defined_in.items():
            register_from(name, place)
    task = tasks.get(experiment.task)
    return task.build(experiment.attention, experiment.settings, data)


def load_model(
    experiment: Experiment, data: Any, directory: str | os.PathLike[str]
) -> Any:
    """Returns the model of a completed run, with the tested weights.

    Args:
        experiment: The `Experiment`.
        data: The rows of its task.
        directory: The folder of the run.
    """
    model = _build_model(experiment, data)
    if not model.built:
        model.build((experiment.settings.batch_size, None))
    model.load_weights(Path(directory) / WEIGHTS)
    return model


def main(arguments: list[str] | None = None, stop: StopSignal | None = None) -> int:
    """Runs the experiments in JSON files, and prints their progress as JSON lines.

    Args:
        arguments: Those of the command line.
        stop: Decides when to stop, if not the arguments.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description="Runs experiments.")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="EXPERIMENT DIRECTORY",
        help="JSON file of an experiment, and folder for its result and checkpoint; "
        "several pairs for experiments that differ in the learning rate only",
    )
    parser.add_argument("--time-limit", type=float, help="seconds")
    parser.add_argument(
        "--fingerprint", type=json.loads, help="fingerprint of the rows, as JSON"
    )
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        help="folder where Python looks for modules, last; repeatable",
    )
    parser.add_argument("--task", help="task to register, as MODULE:NAME")
    parser.add_argument("--at-once", type=int, default=1, help="runs at the same time")
    options = parser.parse_args(arguments)
    if len(options.runs) % 2:
        parser.error("each EXPERIMENT needs a DIRECTORY")
    # Last, so that nothing in them hides a module of Python's own.
    sys.path.extend(options.path)
    if stop is None:
        stop = StopSignal(options.time_limit)
        stop.listen()
    # Libraries print too, but the standard output must contain only events.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    number = 0

    def show(event: Event) -> None:
        try:
            events.write(json.dumps({**event, "run": number}) + "\n")
            events.flush()
        except BrokenPipeError:
            stop.request("the progress output was closed")

    shared = Shared() if len(options.runs) > 2 else None
    try:
        if options.task is not None:
            tasks.register(tasks.get(options.task))
        pairs = zip(options.runs[::2], options.runs[1::2], strict=True)
        for number, (spec, folder) in enumerate(pairs):  # noqa: B007 (`show` uses it)
            experiment = Experiment.from_json(read_json(spec))
            result = run(
                experiment,
                folder,
                stop,
                show,
                fingerprint=options.fingerprint,
                at_once=options.at_once,
                shared=shared,
            )
            solved = result.solved(tasks.get(experiment.task).solved)
            if result.status == "stopped" or solved:
                break
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return {"completed": 0, "stopped": 3}.get(result.status, 1)


if __name__ == "__main__":
    code = main()
    # The end of the process frees everything at once. Python's last search for garbage
    # among all objects of a backend would take a second before that.
    gc.freeze()
    sys.exit(code)
