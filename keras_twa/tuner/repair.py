"""Moves broken files of a search aside, so that it can continue.

KerasTuner writes its files in place: a kill or a full disk can truncate them.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras_tuner

from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import write_json
from keras_twa.tuner.trials import WEIGHTS

TRIAL_FILE = "trial.json"
ORACLE_FILE = "oracle.json"
PREFIX = "trial_"
BROKEN = "broken-"
ENDED = ("COMPLETED", "FAILED")
# An oracle seeds each draw with the next number. These are beyond those of a trial.
DRAWS_OF_A_TRIAL = 10_000


def repair(
    trials: Path, make_oracle: Callable[[], Any], tested: str | None = None
) -> list[str]:
    """Repairs KerasTuner's files, so that KerasTuner can continue from them.

    A trial with a broken file is moved aside: its folder is renamed, and nothing else
    refers to it. If the state of the oracle is broken or missing, it is rebuilt from
    the trials.

    Args:
        trials: KerasTuner's folder. It may be missing.
        make_oracle: Returns a new oracle with the whole search space.
        tested: A trial whose weights are no longer needed.

    Returns:
        A sentence for each broken file.
    """
    told: list[str] = []
    found = {}
    for path in sorted(trials.glob(f"{PREFIX}*/{TRIAL_FILE}")):
        name = path.parent.name.removeprefix(PREFIX)
        try:
            trial = _load_trial(path, name)
            if trial.status == "COMPLETED" and name != tested:
                path = path.with_name(WEIGHTS)
                check_weights(path)
            found[name] = trial
        except Exception as error:  # a broken file may raise anything
            told.append(_set_aside(path, error, path.parent))
    path = trials / ORACLE_FILE
    if path.exists() or found:
        told += _repair_oracle(path, make_oracle, found)
    told += repair_tuner(trials)
    if path.exists() and not tuner_file(trials).exists():
        # KerasTuner would restart and overwrite the trials.
        write_json(tuner_file(trials), {})
    return told


def repair_tuner(trials: Path) -> list[str]:
    """Sets aside KerasTuner's file of this process if it is broken.

    Returns:
        What was done, as `repair` does.
    """
    path = tuner_file(trials)
    if path.exists():
        try:
            read_json(path)
        except ValueError as error:
            return [_set_aside(path, error)]
    return []


def tuner_file(trials: Path) -> Path:
    """Returns the path of KerasTuner's file of this process."""
    return trials / f"{os.environ.get('KERASTUNER_TUNER_ID', 'tuner0')}.json"


def check_weights(path: Path) -> None:
    """Raises `OSError` if a file of weights exists and is broken."""
    if path.exists():
        h5py.File(path, "r").close()


def set_aside_weights(path: Path) -> list[str]:
    """Sets aside a file of weights if it is broken.

    Returns:
        What was done, as `repair` does.
    """
    try:
        check_weights(path)
    except OSError as error:
        return [_set_aside(path, error)]
    return []


def fill_gaps(oracle: Any) -> None:
    """Makes an oracle number new trials so that no number repeats.

    KerasTuner numbers a trial by the number of trials. A failed trial that is in no
    list of the oracle therefore replaces each trial that was moved aside. It does not
    count as one of `max_trials`.
    """
    numbers = {int(name) for name in oracle.trials}
    for number in set(range(max(numbers, default=0))) - numbers:
        oracle.trials[str(number)] = keras_tuner.engine.trial.Trial(
            keras_tuner.HyperParameters(), str(number), "FAILED"
        )
        oracle.max_trials += 1


def _load_trial(path: Path, name: str) -> Any:
    trial = keras_tuner.engine.trial.Trial.load(str(path))
    if trial.trial_id != name or not trial.hyperparameters.values:
        raise ValueError("it is not of this trial")
    return trial


def _repair_oracle(
    path: Path, make_oracle: Callable[[], Any], trials: dict[str, Any]
) -> list[str]:
    told = []
    if path.exists():
        try:
            before = json.loads(path.read_text("utf-8"))
            state = _without_others(before, trials)
            oracle = make_oracle()
            oracle.trials = dict(trials)
            oracle.set_state(json.loads(json.dumps(state)))
            if state != before:
                write_json(path, state)
            return []
        except Exception as error:  # as above
            told.append(_set_aside(path, error))
    write_json(path, _state_from(trials, make_oracle()))
    return told


def _without_others(state: dict[str, Any], trials: dict[str, Any]) -> dict[str, Any]:
    """The state of an oracle with only these trials."""
    state = dict(state)
    for name in ("start_order", "end_order", "retry_queue"):
        state[name] = [trial for trial in state[name] if trial in trials]
    for name in ("run_times", "id_to_hash"):
        state[name] = {k: v for k, v in state[name].items() if k in trials}
    state["ongoing_trials"] = {
        tuner: trial
        for tuner, trial in state["ongoing_trials"].items()
        if trial in trials
    }
    # Hyperband's.
    if "brackets" in state:
        state["brackets"] = [
            {
                **bracket,
                "rounds": [
                    [one for one in entries if one["id"] in trials]
                    for entries in bracket["rounds"]
                ],
            }
            for bracket in state["brackets"]
        ]
    return state


def _state_from(trials: dict[str, Any], oracle: Any) -> dict[str, Any]:
    """The state of an oracle that has seen these trials; Hyperband starts a round."""
    oracle.trials = trials
    for name in sorted(trials, key=int):
        trial = trials[name]
        oracle.start_order.append(name)
        # So that the oracle does not try it again.
        oracle._record_values(trial)
        if trial.status in ENDED:
            oracle.end_order.append(name)
            oracle._run_times[name] += 1
        else:
            oracle._retry_queue.append(name)
    oracle._seed_state += DRAWS_OF_A_TRIAL * len(trials)
    state: dict[str, Any] = oracle.get_state()
    return state


def _set_aside(path: Path, error: Exception, moved: Path | None = None) -> str:
    """Renames a broken file, or its folder, and returns a message."""
    moved = moved or path
    target = moved.with_name(f"{BROKEN}{moved.name}")
    number = 1
    while target.exists():
        number += 1
        target = moved.with_name(f"{BROKEN}{number}-{moved.name}")
    reason = " ".join(str(error).split()) or type(error).__name__
    moved.rename(target)
    return (
        f"{path} is broken ({reason}). {moved.name} is renamed to {target.name}, "
        "and the search continues without it."
    )
