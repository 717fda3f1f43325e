"""One run: it goes on where it ended, stops in time, and tells what went wrong."""

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from keras_twa.experiments import run as run_module
from keras_twa.experiments.attention_maps import save_attention_maps
from keras_twa.experiments.attention_maps import shrink
from keras_twa.experiments.checkpoint import load_checkpoint
from keras_twa.experiments.checkpoint import save_checkpoint
from keras_twa.experiments.results import Result
from keras_twa.experiments.run import run
from keras_twa.experiments.stop import StopSignal
from keras_twa.tasks import load
from tests.experiments.tiny import build_model
from tests.experiments.tiny import run_tiny
from tests.experiments.tiny import tiny_experiment

ROOT = Path(__file__).resolve().parents[2]
KEYS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def start_and_expect_a_kill(what, folder, step):
    """Runs `tiny` in a session of its own and waits until it kills itself."""
    command = [sys.executable, "-m", "tests.experiments.tiny", what, folder, str(step)]
    done = subprocess.run(
        command, cwd=ROOT, start_new_session=True, capture_output=True, timeout=300
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]


def assert_same_learning(result, other):
    assert result.status == other.status == "completed"
    assert result.steps == other.steps
    assert result.best_epoch == other.best_epoch
    for point, same in zip(result.curve, other.curve, strict=True):
        np.testing.assert_allclose(
            [point[key] for key in KEYS], [same[key] for key in KEYS], rtol=1e-4
        )
    np.testing.assert_allclose(result.score, other.score, rtol=1e-4)
    np.testing.assert_allclose(result.test["loss"], other.test["loss"], rtol=1e-4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_tiny(tmp_path_factory.mktemp("whole"))


def test_a_run_tells_everything(whole):
    assert whole.status == "completed"
    batches = whole.steps / 3
    assert batches == int(batches) >= 12
    assert [point["epoch"] for point in whole.curve] == [1, 2, 3]
    assert all(point["seconds"] > 0 for point in whole.curve)
    total = sum(point["seconds"] for point in whole.curve)
    assert whole.curve[-1]["total_seconds"] == pytest.approx(total)
    assert whole.parameters == 17 * 8 + 8 * 10 + 10
    assert whole.compile_seconds >= 0
    assert whole.memory["peak"] >= whole.memory["before_model"] > 10**7
    assert whole.environment["keras"]
    assert 0 <= whole.score <= 1
    accuracies = [point["validation_accuracy"] for point in whole.curve]
    assert whole.best_epoch == 1 + int(np.argmax(accuracies))


@pytest.mark.full
def test_the_same_seed_gives_the_same_curve(whole, tmp_path):
    assert_same_learning(run_tiny(tmp_path), whole)


@pytest.mark.parametrize("step", [pytest.param(5, marks=pytest.mark.full), 20])
def test_a_killed_run_goes_on_inside_an_epoch(whole, tmp_path, step):
    start_and_expect_a_kill("run", str(tmp_path), step)
    assert Result.load(tmp_path / "result.json").status == "running"
    _, state = load_checkpoint(tmp_path / "checkpoint.npz")
    assert state["steps"] == step
    assert state["batch"] > 0
    result = run_tiny(tmp_path)
    assert result.starts == 2
    assert_same_learning(result, whole)
    assert not (tmp_path / "checkpoint.npz").exists()


@pytest.mark.full
def test_the_kept_weights_give_the_test_accuracy_again(whole, tmp_path):
    run_tiny(tmp_path)
    experiment = tiny_experiment()
    data = load(experiment.task, experiment.data, experiment.settings)
    model = build_model(experiment, data)
    model.load_weights(tmp_path / "best.weights.h5")
    _, labels = data.splits["test"]
    batches = data.evaluation_batches("test", 16).epoch()
    right = sum(
        float(((np.argmax(model.predict(x, verbose=0), -1) == y) * w).sum())
        for x, y, w in batches
    )
    assert right / len(labels) == pytest.approx(whole.score)


def test_a_completed_run_is_not_run_again(tmp_path):
    first = run_tiny(tmp_path)
    again = run(tiny_experiment(), tmp_path, build_model=pytest.fail)
    assert again == Result.load(tmp_path / "result.json")
    assert again.starts == first.starts


def test_a_time_limit_stops_at_a_batch_and_a_later_call_goes_on(whole, tmp_path):
    stop = StopSignal(time_limit=1e-3)
    result = run(tiny_experiment(), tmp_path, stop, build_model=build_model)
    assert result.status == "stopped"
    assert "time limit" in result.reason
    assert result.steps == 1
    assert_same_learning(run_tiny(tmp_path), whole)


@pytest.mark.full
def test_a_time_limit_during_the_evaluation_loses_no_training(whole, tmp_path):
    stop = StopSignal()

    def on_event(event):
        if event.get("phase") == "validation":
            stop.request("enough")

    run_module.SECONDS_BETWEEN_EVENTS = -1.0
    experiment = tiny_experiment()
    result = run(experiment, tmp_path, stop, on_event, build_model)
    assert result.status == "stopped"
    assert result.steps == whole.steps / 3
    assert result.curve == []
    assert_same_learning(run_tiny(tmp_path), whole)


@pytest.mark.full
def test_a_diverging_run_is_failed_with_its_reason(tmp_path):
    experiment = tiny_experiment(
        learning_rate=1e30, clipnorm=1e30, warmup_steps=0, schedule="constant"
    )
    result = run(experiment, tmp_path, build_model=build_model)
    assert result.status == "failed"
    assert "loss is" in result.reason
    assert Result.load(tmp_path / "result.json").reason == result.reason


@pytest.mark.full
def test_a_broken_model_is_failed_with_its_reason(tmp_path):
    def broken(experiment, data):
        raise MemoryError("no room\nfor it")

    result = run(tiny_experiment(), tmp_path, build_model=broken)
    assert (result.status, result.reason) == ("failed", "MemoryError: no room")


def test_another_experiment_in_the_folder_is_refused(tmp_path):
    run_tiny(tmp_path)
    with pytest.raises(ValueError, match="another experiment"):
        run(tiny_experiment(seed=1), tmp_path, build_model=build_model)


@pytest.mark.full
def test_patience_and_max_steps_end_a_run(tmp_path):
    experiment = tiny_experiment(learning_rate=1e-12, epochs=9, patience=2)
    result = run(experiment, tmp_path / "a", build_model=build_model)
    assert result.status == "completed"
    assert len(result.curve) == 3
    experiment = tiny_experiment(max_steps=17, epochs=9)
    result = run(experiment, tmp_path / "b", build_model=build_model)
    assert result.steps == 17
    assert len(result.curve) == 2


@pytest.mark.full
def test_the_process_tells_progress_in_json_lines(tmp_path):
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(tiny_experiment(epochs=1).to_json()))
    command = [sys.executable, "-m", "keras_twa.experiments.run", spec, tmp_path / "r"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    events = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert events[0]["event"] == "start"
    assert any(event["event"] == "epoch" for event in events)
    assert (tmp_path / "r" / "attention.npz").exists()
    with np.load(tmp_path / "r" / "attention.npz") as maps:
        assert maps["layer0"].shape[0] == 2
        np.testing.assert_allclose(maps["layer0"].sum(-1), 1.0, atol=1e-2)


def test_a_bad_specification_is_one_line_and_code_2(tmp_path, capsys):
    spec = tmp_path / "spec.json"
    spec.write_text("{}")
    # `main()` takes over the output streams, so it has a process of its own.
    command = [sys.executable, "-m", "keras_twa.experiments.run", spec, tmp_path / "r"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "r").exists()


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    path = tmp_path / "c.npz"
    arrays = {"a": [np.arange(3), np.float32(2)], "b": []}
    save_checkpoint(path, arrays, {"epoch": 3})
    loaded, state = load_checkpoint(path)
    assert state == {"epoch": 3}
    assert loaded["b"] == []
    np.testing.assert_array_equal(loaded["a"][0], arrays["a"][0])
    assert os.listdir(tmp_path) == ["c.npz"]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="Not a checkpoint"):
        load_checkpoint(path)


def test_attention_maps_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    def killed(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", killed)
    model = types.SimpleNamespace(
        has_attention_scores=True,
        attention_scores=lambda tokens: [np.ones((1, 1, 3, 3))],
    )
    data = types.SimpleNamespace(example=np.ones(3), symbols=lambda tokens: ["a"] * 3)
    with pytest.raises(KeyboardInterrupt):
        save_attention_maps(model, data, tmp_path / "attention.npz")
    assert not (tmp_path / "attention.npz").exists()


def test_maps_are_averaged_down():
    maps = np.arange(2 * 6 * 6, dtype="float64").reshape(2, 6, 6)
    small = shrink(maps, 3)
    expected = maps.reshape(2, 3, 2, 3, 2).mean((2, 4))
    np.testing.assert_allclose(small, expected)
    assert shrink(maps, 6) is maps
    assert shrink(np.ones((1, 7, 5)), 4).shape == (1, 4, 4)
