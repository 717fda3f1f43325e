"""Runs of a sweep that share a process, and what is compiled in it."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from keras_twa.experiments.results import Result
from keras_twa.experiments.run import Shared
from keras_twa.experiments.run import run
from keras_twa.experiments.sweep import one_process
from tests.experiments.tiny import build_model
from tests.experiments.tiny import tiny_experiment

ROOT = Path(__file__).resolve().parents[2]


def with_rate(rate, **changes):
    experiment = tiny_experiment(epochs=2, **changes)
    return dataclasses.replace(experiment, learning_rate=rate)


def numbers(result):
    """Return everything but times and memory."""
    clock = ("seconds", "total_seconds")
    curve = [{k: v for k, v in x.items() if k not in clock} for x in result.curve]
    return curve, result.test, result.best_epoch, result.steps, result.parameters


def test_a_shared_process_gives_the_numbers_of_separate_ones(tmp_path):
    rates = (1e-2, 1e-4)
    alone = [
        run(with_rate(rate), tmp_path / f"alone{rate}", build_model=build_model)
        for rate in rates
    ]
    shared, compiled = Shared(), []
    together = []
    for rate in rates:
        folder = tmp_path / f"together{rate}"
        together.append(
            run(with_rate(rate), folder, build_model=build_model, shared=shared)
        )
        training = shared.training
        functions = training._train_functions, training._test_functions
        compiled.append([dict(each) for each in functions])
    assert [r.status for r in together] == ["completed", "completed"]
    assert [*map(numbers, together)] == [*map(numbers, alone)]
    assert numbers(together[0]) != numbers(together[1])
    # The second one had the compiled functions of the first one, and no others.
    assert all(compiled[0]) and compiled[0] == compiled[1]


def test_only_the_rate_may_differ(tmp_path):
    shared = Shared()
    run(with_rate(1e-2), tmp_path / "a", build_model=build_model, shared=shared)
    other = with_rate(1e-2, batch_size=8)
    result = run(other, tmp_path / "b", build_model=build_model, shared=shared)
    assert result.status == "failed"
    assert "Only a run of another learning rate" in result.reason


@pytest.mark.full
def test_a_process_runs_several_and_ends_when_one_solves_the_task(tmp_path):
    runs = []
    for rate in (1e-2, 1e-3, 1e-4):
        experiment = dataclasses.replace(
            with_rate(rate), task="memorization", settings=easy_settings()
        )
        spec = tmp_path / f"{rate}.json"
        spec.write_text(json.dumps(experiment.to_json()))
        runs += [spec, tmp_path / f"{rate}"]
    command = [sys.executable, "-m", "keras_twa.experiments.run", *runs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    events = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert {event["run"] for event in events} == {0}
    assert Result.load(tmp_path / "0.01" / "result.json").solved(0.995)
    assert not (tmp_path / "0.001").exists()


def easy_settings():
    from tests.tasks.tiny import tiny_settings

    return tiny_settings(
        "memorization",
        facts=2,
        max_length=4,
        num_train=1_600,
        epochs=9,
        learning_rate=1e-2,
    )


@pytest.mark.once
def test_rates_of_one_mechanism_and_seed_share_a_process():
    left = [
        Result(with_rate(rate, attention=name))
        for name in ("linear", "local")
        for rate in (1e-2, 1e-3)
    ]
    assert one_process(left, left, 0.9) == [left[:2], left[2:]]
    done = Result(with_rate(1e-1, attention="linear"), status="completed")
    done.curve = [{"validation_accuracy": 0.95}] * 2
    assert one_process(left, [*left, done], 0.9) == [left[2:]]
    # Tasks without such a score need all rates, and one good epoch is not enough.
    assert one_process(left, [*left, done], None) == [left[:2], left[2:]]
    done.curve[0] = {"validation_accuracy": 0.85}
    assert one_process(left, [*left, done], 0.9) == [left[:2], left[2:]]
