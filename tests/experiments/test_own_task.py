"""A task of one's own goes through the comparison, the report and the command."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_twa import tasks
from keras_twa.cli import main
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.markup import literal
from keras_twa.experiments.report import write_report
from keras_twa.experiments.run import load_model
from keras_twa.experiments.run import run
from keras_twa.experiments.stop import StopSignal
from keras_twa.tasks import ArrayRows
from tests.experiments import own_task

FULL = pytest.mark.full
FILE = Path(own_task.__file__)
OPTION = "temporal_weighted(initial_offset=0)"
STACK = "[local(window=2), retention]"


def experiment(task="TASK", attention="dot_product", **changes):
    changes = {"epochs": 3, **changes}
    return Experiment.from_preset(f"{FILE}:{task}", "quick", attention, **changes)


def test_the_command_compares_on_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(FILE.parent)
    attention = f"dot_product, {OPTION}, {STACK}"
    command = ["compare", "--task", f"{FILE.name}:TASK", "--attention", attention]
    command += ["--output", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    runs = {run["experiment"]["attention"]: run for run in found["results"]}
    assert list(runs) == ["dot_product", OPTION, STACK]
    for each in runs.values():
        assert each["status"] == "completed"
        # It learns more than the mean.
        assert each["test"]["error"] < found["facts"]["baselines"]["mean"]
        errors = [point["validation_error"] for point in each["curve"]]
        assert each["best_epoch"] == 1 + int(np.argmin(errors))
    assert found["facts"]["rows"] == {"train": 70, "validation": 20, "test": 30}
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    for part in ("means of series: random numbers", "test error", "lower is better"):
        assert part in report
    assert "the mean of the training rows, always" in report
    # The options of a mechanism are as in Python, its name is for people.
    assert literal("temporal weighted(initial_offset=0)") in report
    assert "points at best" not in report
    # Nothing is left to do, in another folder too.
    monkeypatch.chdir(tmp_path)
    command[2] = f"{FILE}:TASK"
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["results"] == found["results"]


@FULL
def test_the_kept_weights_give_the_test_score_again(tmp_path):
    result = run(experiment(attention=OPTION), tmp_path)
    assert result.status == "completed", result.reason
    rows = own_task.load("auto", result.experiment.settings, None)
    model = load_model(result.experiment, rows, tmp_path)
    x, y, _ = rows.splits["test"]
    error = np.abs(model.predict(x, verbose=0)[:, 0] - y).mean()
    np.testing.assert_allclose(result.score, error, rtol=1e-5)


class StopsOnce(StopSignal):
    """Stops in the middle of the second epoch."""

    def __init__(self):
        super().__init__()
        self.batches = 0

    def check(self):
        self.batches += 1
        if self.batches == 9:
            self.request("the test asks for it")
        super().check()


@pytest.mark.parametrize("task", [pytest.param("TASK", marks=FULL), "RANKED"])
def test_a_stopped_run_gives_the_same_numbers(task, tmp_path):
    whole = run(experiment(task), tmp_path / "whole")
    assert run(experiment(task), tmp_path / "parts", StopsOnce()).status == "stopped"
    parts = run(experiment(task), tmp_path / "parts")
    assert (parts.status, parts.starts) == ("completed", 2)
    assert parts.test.keys() == whole.test.keys()
    for name, value in whole.test.items():
        np.testing.assert_allclose(parts.test[name], value, rtol=1e-5)
    names = [name for name in whole.curve[0] if "seconds" not in name]
    for one, other in zip(parts.curve, whole.curve, strict=True):
        for name in names:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5)


def test_a_metric_that_is_no_mean_is_measured_over_all_rows(tmp_path):
    result = run(experiment("RANKED"), tmp_path)
    rows = own_task.load("auto", result.experiment.settings, None)
    model = load_model(result.experiment, rows, tmp_path)
    x, y, _ = rows.splits["test"]
    metric = keras.metrics.R2Score()
    metric.update_state(y[:, None], model.predict(x, verbose=0))
    np.testing.assert_allclose(result.score, float(metric.result()), rtol=1e-4)
    assert "train_r2" not in result.curve[0]


def split(rows, **changes):
    parts = {"x": np.zeros((rows, 2)), "y": np.zeros(rows), "w": None, **changes}
    return parts["x"], parts["y"], parts["w"]


def test_rows_are_checked():
    good = {name: split(3) for name in ("train", "validation", "test")}
    for name, bad in {
        "train": split(3, y=np.zeros(2)),
        "validation": split(0),
        "test": split(3, w=np.ones(4)),
    }.items():
        with pytest.raises(ValueError, match=rf"Received: .* in the split '{name}'"):
            ArrayRows({**good, name: bad})
    with pytest.raises(ValueError, match=r"the splits.*Received: \['train'\]"):
        ArrayRows({"train": split(3)})


def test_batches_are_all_rows_in_an_order_of_their_own():
    x = {"a": np.arange(10), "b": [np.arange(10) * 2]}
    rows = ArrayRows(dict.fromkeys(("train", "validation", "test"), (x, -x["a"], None)))
    batches = rows.train_batches(4, seed=1)
    first, again, other = (list(batches.epoch(epoch)) for epoch in (0, 0, 1))
    assert len(batches) == len(first) == 3
    for inputs, targets, weights in first:
        np.testing.assert_array_equal(inputs["a"], -targets)
        np.testing.assert_array_equal(inputs["b"][0], -2 * targets)
        assert weights is None
    order = [
        np.concatenate([y for _, y, _ in found]) for found in (first, again, other)
    ]
    np.testing.assert_array_equal(order[0], order[1])
    assert (order[0] != order[2]).any()
    np.testing.assert_array_equal(np.sort(-order[0]), np.arange(10))
    rest = [y for _, y, _ in batches.epoch(0, start=1)]
    np.testing.assert_array_equal(np.concatenate(rest), order[0][4:])
    kept = [y for _, y, _ in rows.evaluation_batches("test", 4).epoch()]
    np.testing.assert_array_equal(np.concatenate(kept), -np.arange(10))


def test_fingerprints_tell_rows_apart():
    def prints(x, y=None, w=None):
        y = np.zeros(3) if y is None else y
        names = ("train", "validation", "test")
        return ArrayRows(dict.fromkeys(names, (x, y, w))).fingerprint["test"]

    x = np.arange(6.0).reshape(3, 2)
    assert prints(x) == prints(x.copy())
    different = [
        x,
        x[::-1],
        x.astype("float32"),
        {"a": x},
        {"b": x},
        x.reshape(3, 2, 1),
    ]
    found = {prints(each) for each in different}
    found |= {prints(x, w=np.ones(3)), prints(x, y=np.array(["a", "b", "c"]))}
    assert len(found) == len(different) + 2


@pytest.fixture
def registered(monkeypatch):
    """The task under its own name."""
    monkeypatch.setattr(tasks.registry, "_registered", {})
    return tasks.register(own_task.TASK).name


def test_a_registered_task_reaches_the_processes_of_runs(registered, tmp_path):
    made = Experiment.from_preset(registered, "quick", OPTION, epochs=1)
    comparison = Comparison(tmp_path, [made], keras.backend.backend())
    comparison.prepare(tasks.load(registered, "auto", made.settings))
    (result,) = comparison.run(lambda experiment, event: None)
    assert (result.status, result.reason) == ("completed", "")
    # The report needs the folder only.
    tasks.registry._registered.clear()
    assert "means of series" in write_report(tmp_path).read_text("utf-8")


@pytest.mark.usefixtures("registered")
def test_a_task_without_a_name_in_a_module_is_refused(tmp_path):
    tasks.register(dataclasses.replace(own_task.TASK, name="other"))
    made = Experiment.from_preset("other", "quick", "local")
    with pytest.raises(ValueError, match=r"own, which imports.*Received: task='other'"):
        Comparison(tmp_path, [made], "jax")
