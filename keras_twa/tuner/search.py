"""A search for a better model than the default, which can stop and continue."""

import contextlib
import dataclasses
import io
import os
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras_tuner

from keras_twa import files
from keras_twa.datasets import checks
from keras_twa.experiments import machine
from keras_twa.experiments.config import BASELINE
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.lock import LOCK
from keras_twa.experiments.lock import locked
from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import write_json
from keras_twa.experiments.stop import StopSignal
from keras_twa.experiments.text import error_text
from keras_twa.home import expanded
from keras_twa.ops import backend
from keras_twa.tasks import load
from keras_twa.tasks.fingerprint import check_same_rows
from keras_twa.tasks.fingerprint import differences
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.settings import check_choice
from keras_twa.tuner import repair
from keras_twa.tuner.hypermodel import AttentionHyperModel
from keras_twa.tuner.hypermodel import check_attentions
from keras_twa.tuner.result import FILE_NAME
from keras_twa.tuner.result import TuningResult
from keras_twa.tuner.space import chosen
from keras_twa.tuner.trials import ALGORITHMS
from keras_twa.tuner.trials import TRIALS
from keras_twa.tuner.trials import WEIGHTS
from keras_twa.tuner.trials import AttentionTuner
from keras_twa.tuner.trials import OutOfTime
from keras_twa.tuner.trials import Runner
from keras_twa.tuner.trials import View
from keras_twa.tuner.trials import make_oracle
from keras_twa.tuner.trials import role

FORMAT = 1
SEARCH_FILE = "search.json"
DEFAULT = "default"


def search(
    task: str | Experiment,
    preset: str = "quick",
    data: str = "auto",
    attentions: Iterable[str] | None = None,
    algorithm: str = "random",
    max_trials: int = 10,
    epochs: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    seed: int = 0,
    time_limit: float | None = None,
    view: View | None = None,
) -> TuningResult:
    """Searches for a better model than a preset's with conventional attention.

    The search trains the default first, then one configuration after another, all with
    about as many parameters. It compares them by validation accuracy. The test rows are
    read only at the end of a call that was not interrupted: when the search is
    complete, or its time is up. The default and the best are then measured, each once.

    To continue a search that was stopped or killed, call it again with the same
    directory. Only the interrupted trial restarts, and `max_trials` may be larger. A
    trial with a broken file is moved aside with a warning, and another one replaces it.

    Several processes can share a search through KerasTuner: one with
    `KERASTUNER_TUNER_ID=chief`, others with "tuner0", "tuner1", ... All need the same
    arguments, directory, `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`. The chief
    writes the result when all trials are done, and a worker returns the result so far.
    If one process is killed, kill the others too.

    Args:
        task: The name of a task, such as "listops"; or an `Experiment`, which replaces
            `preset`, `data`, `epochs` and `seed`.
        preset: Name of the preset to start from.
        data: Where the rows come from, as in an `Experiment`.
        attentions: Names of the mechanisms to choose from. Defaults to those that a
            comparison trains.
        algorithm: "random", "bayesian" (after random trials, a third of all), or
            "hyperband" (short trainings, the better ones continue).
        max_trials: Largest number of trials. A small space may have fewer.
        epochs: Passes over the training data. Defaults to the preset's.
        directory: Folder for all files. Defaults to
            `runs/tune-TASK-PRESET-ALGORITHM-BACKEND`.
        seed: Seed of the choices, the weights, and the order of the batches.
        time_limit: Seconds, without the test.
        view: Called with each event to show, a dictionary with "event" and "trial":
            "start" with "hyperparameters" and "epochs", "batch" with "epoch", "batch"
            and "batches", "epoch" with "val_accuracy", and "end" with "result".

    Returns:
        A `TuningResult`.

    Raises:
        ValueError: If an argument does not fit, or the directory has other contents,
            or a search on other rows.
        BlockingIOError: If another process searches in the directory.
    """
    _check_arguments(algorithm, max_trials, time_limit)
    stop = StopSignal(time_limit)
    if isinstance(task, Experiment):
        experiment = task
    else:
        changes = {} if epochs is None else {"epochs": epochs}
        experiment = Experiment.from_preset(
            task, preset, BASELINE, seed, data, **changes
        )
    attentions = check_attentions(attentions)
    if directory is None:
        name = f"{experiment.task}-{experiment.preset}-{algorithm}-{backend.NAME}"
        directory = f"runs/tune-{name}"
    folder = expanded(directory)
    _check_folder(folder)
    rows = load(experiment.task, experiment.data, experiment.settings)
    # Replaces "auto", so that a later call must use the same data.
    experiment = dataclasses.replace(experiment, data=rows.data)
    hypermodel = AttentionHyperModel(experiment, attentions, rows)
    runner = Runner(hypermodel, stop, view or (lambda event: None))
    settings = experiment.settings

    def oracle() -> Any:
        best = keras_tuner.Objective(hypermodel.objective, hypermodel.direction)
        seed = experiment.seed
        return make_oracle(algorithm, max_trials, settings.epochs, seed, best)

    facts = {
        "format": FORMAT,
        "backend": backend.NAME,
        "algorithm": algorithm,
        "attentions": list(attentions),
        **experiment.to_json(),
        "fingerprint": rows.fingerprint,
    }
    if role() == "worker":
        _check_same(folder, facts)
        _warn(repair.repair_tuner(folder / TRIALS))
        return _work(AttentionTuner(oracle(), runner, folder), folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _claim(folder, facts)
        return _Search(runner, oracle, folder).run()


def _check_arguments(algorithm: str, max_trials: int, time_limit: float | None) -> None:
    check_choice("algorithm", algorithm, ALGORITHMS)
    checks.integers_from(1, max_trials=max_trials)
    if time_limit is not None and role() != "alone":
        raise ValueError(
            "A chief would wait for workers that have stopped: limit `max_trials` "
            f"instead. Received: time_limit={time_limit}"
        )


class _Search:
    """The search of the process that chooses the trials."""

    def __init__(
        self, runner: Runner, make_oracle: Callable[[], Any], folder: Path
    ) -> None:
        self.runner = runner
        if (folder / FILE_NAME).exists():
            self.result = TuningResult.load(folder)
        else:
            fingerprint = read_json(folder / SEARCH_FILE).get("fingerprint", {})
            self.result = TuningResult(folder, fingerprint=fingerprint)
        self._repair(make_oracle)
        with contextlib.redirect_stdout(io.StringIO()):
            self.tuner = AttentionTuner(make_oracle(), runner, folder, self._on_end)
        repair.fill_gaps(self.tuner.oracle)

    def run(self) -> TuningResult:
        result, hypermodel = self.result, self.runner.hypermodel
        result.environment = machine.environment()
        result.metric = hypermodel.task.metric
        if not result.baselines:
            result.baselines = hypermodel.task.baselines(hypermodel.data)
        result.complete = False
        result.save()
        with contextlib.suppress(OutOfTime):
            if result.default is None:
                self._run_default()
            self.tuner.search(verbose=0)
            result.complete = True
        self._record()
        self._test(result.default, hypermodel.experiment, self._default_weights)
        if result.best is not None:
            best = self.tuner.oracle.trials[result.best["id"]]
            configuration = hypermodel.configuration(best.hyperparameters)
            self._test(result.best, configuration, self.tuner.weights(best.trial_id))
        result.save()
        return result

    def _repair(self, make_oracle: Callable[[], Any]) -> None:
        result = self.result

        def oracle_with_space() -> Any:
            oracle = make_oracle()
            space = oracle.get_space()
            self.runner.hypermodel.declare_hyperparameters(space)
            oracle.update_space(space)
            return oracle

        best = result.best or {}
        tested = best["id"] if result.test_name in best else None
        _warn(repair.repair(result.directory / TRIALS, oracle_with_space, tested))
        if result.default is not None and result.test_name not in result.default:
            told = repair.set_aside_weights(self._default_weights)
            _warn(told)
            if told:
                result.default = None

    @property
    def _default_weights(self) -> Path:
        return self.result.directory / f"{DEFAULT}.{WEIGHTS}"

    def _run_default(self) -> None:
        configuration = self.runner.hypermodel.experiment
        found: dict[str, Any] = {
            "id": DEFAULT,
            "status": "completed",
            "hyperparameters": chosen(configuration),
            "score": None,
            "parameters": None,
            "seconds": None,
        }
        try:
            scores = self.runner.run(DEFAULT, configuration, self._default_weights)
        except OutOfTime:
            raise
        except Exception as error:  # any error, as in a trial: the search continues
            found["status"] = "failed"
            found["message"] = error_text(error)
        else:
            found["score"] = scores[self.runner.hypermodel.objective]
            found["parameters"] = int(scores["params"])
            found["seconds"] = scores["seconds"]
        self.result.default = found
        self.result.save()
        self._show_end(self.result.default)

    def _on_end(self, trial: Any) -> None:
        self._record()
        self._show_end(self.result.trials[-1])

    def _show_end(self, found: dict[str, Any]) -> None:
        self.runner.view({"event": "end", "trial": found["id"], "result": found})

    def _record(self) -> None:
        """Records the trials that have ended."""
        oracle, result = self.tuner.oracle, self.result
        result.trials = [self._plain(oracle.trials[name]) for name in oracle.end_order]
        done = [trial for trial in result.trials if trial["score"] is not None]
        choose = max if result.metric.higher_is_better else min
        best = choose(done, key=lambda trial: trial["score"], default=None)
        # A test score is measured only once.
        if best is None or (result.best or {}).get("id") != best["id"]:
            result.best = best and dict(best)
        result.save()

    def _plain(self, trial: Any) -> dict[str, Any]:
        configuration = self.runner.hypermodel.configuration(trial.hyperparameters)
        completed = trial.status == "COMPLETED"

        def metric(name: str) -> float:
            return float(trial.metrics.get_best_value(name))

        found = {
            "id": trial.trial_id,
            "status": "completed" if completed else "failed",
            "hyperparameters": chosen(configuration),
            "score": metric(self.runner.hypermodel.objective) if completed else None,
            "parameters": int(metric("params")) if completed else None,
            "seconds": metric("seconds") if completed else None,
        }
        if trial.message:
            found["message"] = trial.message.strip().splitlines()[-1]
        return found

    def _test(
        self, found: dict[str, Any] | None, configuration: Experiment, weights: Path
    ) -> None:
        name = self.result.test_name
        if found is None or found["score"] is None or name in found:
            return
        model = self.runner.load(configuration, weights)
        found[name] = self.runner.hypermodel.test(configuration, model)


def _work(tuner: AttentionTuner, folder: Path) -> TuningResult:
    """Runs the trials of a chief."""
    tuner.search(verbose=0)
    if (folder / FILE_NAME).exists():
        return TuningResult.load(folder)
    return TuningResult(folder)


def _check_folder(folder: Path) -> None:
    if not folder.exists() or (folder / SEARCH_FILE).exists():
        return
    if not folder.is_dir():
        raise NotADirectoryError(f"Not a folder. Received: directory={folder}")
    # A worker may have started before its chief.
    leftovers = files.leftovers(folder / SEARCH_FILE)
    own = {LOCK, TRIALS, *(part.name for part in leftovers)}
    if any(entry.name not in own for entry in folder.iterdir()):
        raise ValueError(
            "The directory is not empty, and is not a search. "
            f"Received: directory={folder}"
        )


def _claim(folder: Path, facts: dict[str, Any]) -> None:
    """Writes the description of the search, or compares it with an earlier one."""
    _check_folder(folder)
    _check_same(folder, facts)
    path = folder / SEARCH_FILE
    for part in files.leftovers(path):
        part.unlink(missing_ok=True)
    # A file of an earlier version does not change, because its rows are unknown.
    if not path.exists():
        write_json(path, facts)


def _check_same(folder: Path, facts: dict[str, Any]) -> None:
    path = folder / SEARCH_FILE
    if not path.exists():
        return
    found, wanted = _flat(read_json(path)), _flat(facts)
    rows = found.pop("fingerprint", None), wanted.pop("fingerprint", None)
    differing = differences(found, wanted)
    if differing:
        raise ValueError(
            f"The directory contains another search: {'; '.join(differing)}. "
            f"Received: directory={folder}"
        )
    check_same_rows(*rows, f"directory={folder}")


def _warn(messages: list[str]) -> None:
    for message in messages:
        warnings.warn(message, stacklevel=5)


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts and the settings side by side, also those of earlier versions."""
    settings = facts.get("settings")
    if not isinstance(settings, dict):
        return facts
    now = dataclasses.asdict(Settings.from_json(settings))
    return {**facts, **now, **now["options"], "options": None, "settings": None}
