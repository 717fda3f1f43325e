"""A run that goes on: from what, with which numbers, and on which rows."""

import dataclasses
import errno
import json
import random

import keras
import numpy as np
import pytest

from keras_twa import files
from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.experiments import checkpoint
from keras_twa.experiments import run as run_module
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.generators import Generators
from keras_twa.experiments.report import write_report
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import write_json
from keras_twa.experiments.run import run
from keras_twa.experiments.stop import StopSignal
from keras_twa.experiments.training import Training
from keras_twa.tasks import listops
from keras_twa.tasks import load
from keras_twa.tasks.fingerprint import fingerprint
from keras_twa.tasks.listops import FILES
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison
from tests.experiments.test_run import assert_same_learning
from tests.experiments.tiny import build_model
from tests.experiments.tiny import run_tiny
from tests.experiments.tiny import tiny_experiment

pytestmark = pytest.mark.full

TIMES = ("seconds", "total_seconds")


def run_until(folder, wanted, experiment=None, build=build_model):
    """Runs until an event holds these values, and returns the stopped result."""
    stop = StopSignal()

    def on_event(event):
        if wanted.items() <= event.items():
            stop.request("enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "SECONDS_BETWEEN_EVENTS", -1.0)
        result = run(experiment or tiny_experiment(), folder, stop, on_event, build)
    assert result.status == "stopped"
    return result


def learned(result):
    """All numbers of a result that do not depend on the clock."""
    curve = [
        {name: value for name, value in point.items() if name not in TIMES}
        for point in result.curve
    ]
    return curve, result.steps, result.best_epoch, result.test["loss"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_tiny(tmp_path_factory.mktemp("whole"))


# After epoch 3 of 3, only the test is left.
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_without_its_checkpoint_starts_from_nothing(whole, tmp_path, epoch):
    stopped = run_until(tmp_path, {"event": "epoch", "epoch": epoch})
    assert len(stopped.curve) == epoch
    (tmp_path / "checkpoint.npz").unlink()
    path = tmp_path / "result.json"
    write_json(path, {**read_json(path), "wall_seconds": 1e6})
    result = run_tiny(tmp_path)
    assert [point["epoch"] for point in result.curve] == [1, 2, 3]
    assert result.curve[0]["total_seconds"] == result.curve[0]["seconds"]
    assert result.wall_seconds < 1e5
    assert result.starts == 2
    assert_same_learning(result, whole)


def test_no_room_for_the_first_checkpoint_costs_the_run_and_no_more(
    whole, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_arrays", full)
        result = run(tiny_experiment(), tmp_path, build_model=build_model)
    assert result.status == "failed"
    assert "No space left on device" in result.reason
    assert_same_learning(run_tiny(tmp_path), whole)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_the_advice_for_a_broken_checkpoint_helps(whole, tmp_path, share):
    run_until(tmp_path, {"event": "epoch", "epoch": 2})
    path = tmp_path / "checkpoint.npz"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    result = run(tiny_experiment(), tmp_path, build_model=build_model)
    assert result.status == "failed"
    assert result.reason.endswith(f"to restart this run. Received: {path}")
    path.unlink()
    assert_same_learning(run_tiny(tmp_path), whole)


def test_bytes_that_changed_in_a_checkpoint_are_told(tmp_path):
    path = tmp_path / "c.npz"
    checkpoint.save_checkpoint(path, {"a": [np.arange(99)]}, {})
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + b"\xff" + data[place + 1 :])
        try:
            checkpoint.load_checkpoint(path)
        except ValueError as error:
            assert "Not a checkpoint" in str(error)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    run_until(tmp_path, {"event": "epoch", "epoch": 1})
    (tmp_path / "result.json").unlink()
    other = tiny_experiment(seed=1)
    result = run(other, tmp_path, build_model=build_model)
    assert "of another experiment" in result.reason

    def wider(experiment, data):
        inputs = keras.Input((None,), dtype="int32")
        x = keras.layers.Embedding(data.vocabulary_size, 9)(inputs)
        x = keras.layers.GlobalAveragePooling1D()(x)
        return keras.Model(inputs, keras.layers.Dense(data.num_classes)(x))

    (tmp_path / "result.json").unlink()
    result = run(tiny_experiment(), tmp_path, build_model=wider)
    assert "of another model" in result.reason
    assert "Remove it to restart this run" in result.reason


def test_the_checkpoint_says_how_far_a_run_is(whole, tmp_path):
    """A kill between the two files leaves one of them ahead of the other."""
    path = tmp_path / "result.json"
    run_until(tmp_path, {"event": "epoch", "epoch": 1})
    behind = path.read_bytes(), (tmp_path / "checkpoint.npz").read_bytes()
    run_until(tmp_path, {"event": "epoch", "epoch": 2})
    ahead = path.read_bytes(), (tmp_path / "checkpoint.npz").read_bytes()
    for result, state in ((behind[0], ahead[1]), (ahead[0], behind[1])):
        path.write_bytes(result)
        (tmp_path / "checkpoint.npz").write_bytes(state)
        assert_same_learning(run_tiny(tmp_path), whole)
    # Or no result yet.
    path.unlink()
    (tmp_path / "checkpoint.npz").write_bytes(ahead[1])
    assert_same_learning(run_tiny(tmp_path), whole)
    # Or a result that is complete, and a checkpoint that was to be removed.
    (tmp_path / "checkpoint.npz").write_bytes(ahead[1])
    run(tiny_experiment(), tmp_path, build_model=pytest.fail)
    assert not (tmp_path / "checkpoint.npz").exists()


@pytest.mark.parametrize(
    "wanted",
    [
        {"event": "batch", "phase": "train", "steps_done": 5},
        {"event": "batch", "phase": "train", "steps_done": 20},
        {"event": "batch", "phase": "validation"},
        {"event": "epoch", "epoch": 2},
        {"event": "batch", "phase": "test"},
    ],
    ids=lambda wanted: "-".join(map(str, wanted.values())),
)
def test_a_resumed_run_gives_the_very_same_numbers(whole, tmp_path, wanted):
    run_until(tmp_path, wanted)
    # Another process starts from other states than those that the first left.
    keras.utils.set_random_seed(99)
    assert learned(run_tiny(tmp_path)) == learned(whole)


def always_dropping(experiment, data):
    """Drops in evaluations, too."""
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(data.vocabulary_size, 8)(inputs)
    x = keras.layers.Dropout(0.3)(x, training=True)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(data.num_classes)(x))


def test_a_stop_in_an_evaluation_that_draws_numbers_changes_none(tmp_path):
    experiment = tiny_experiment(epochs=2)
    straight = run(experiment, tmp_path / "a", build_model=always_dropping)
    wanted = {"event": "batch", "phase": "validation", "batch": 2}
    run_until(tmp_path / "b", wanted, experiment, always_dropping)
    result = run(experiment, tmp_path / "b", build_model=always_dropping)
    assert learned(result) == learned(straight)


def test_generators_go_back_to_where_they_were():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5)])
    keras.utils.set_random_seed(3)
    # Odd numbers of normal ones: each generator keeps one for later.
    random.gauss(), np.random.normal(), keras.random.normal((2,))
    ones = np.ones((8, 4), "float32")

    def drawn():
        # A call each to what is Python's, NumPy's, Keras's and the backend's.
        dropped = [model(ones, training=True), keras.random.normal((3,))]
        dropped.append(keras.layers.Dropout(0.5, seed=1)(ones, training=True))
        plain = [random.gauss(), random.random(), *np.random.normal(size=2)]
        return plain, [keras.ops.convert_to_numpy(x).tolist() for x in dropped]

    generators = Generators(model)
    states = generators.states()
    first = drawn()
    assert drawn() != first
    generators.restore(states)
    assert drawn() == first


def test_a_scale_of_the_loss_is_kept(tmp_path):
    """In half precision, Keras scales the loss by a number that changes."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        experiment = tiny_experiment()
        data = load(experiment.task, experiment.data, experiment.settings)

        def training():
            model = build_model(experiment, data)
            return Training(experiment, data, model, Result(experiment))

        first, second = training(), training()
        first.optimizer.dynamic_scale.assign(8.0)
        first.save(tmp_path / "c.npz")
        assert second.restore(tmp_path / "c.npz")
        assert float(second.model.optimizer.dynamic_scale.value) == 8.0
    finally:
        keras.config.set_dtype_policy(policy)


def test_a_checkpoint_of_an_earlier_version_goes_on(whole, tmp_path):
    run_until(tmp_path, {"event": "epoch", "epoch": 1})
    path = tmp_path / "checkpoint.npz"
    arrays, state = checkpoint.load_checkpoint(path)
    for name in ("python", "numpy", "keras", "layers", "backend"):
        del arrays[name]
    del state["experiment"], state["fingerprint"]
    checkpoint.save_checkpoint(path, arrays, state)
    values = read_json(tmp_path / "result.json")
    del values["fingerprint"]
    write_json(tmp_path / "result.json", values)
    result = run_tiny(tmp_path)
    assert result.status == "completed"
    assert len(result.curve) == 3
    # Nobody knows what its first epoch was trained on.
    assert result.fingerprint == {}


# Rows and what they are.


def folder_of_rows(folder, data_seed=0):
    """Writes tiny ListOps files, and returns the experiment on them."""
    experiment = tiny_experiment(data_seed=data_seed, epochs=2)
    rows = load("listops", "generated", experiment.settings)
    listops.write(rows, folder, lambda *_: None)
    return dataclasses.replace(tiny_experiment(epochs=2), data=str(folder))


def swap(path):
    """Puts the last row first; the rows stay the same."""
    heading, *rows = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([heading, rows[-1], *rows[:-1]]) + "\n", "utf-8")


def test_a_fingerprint_is_of_rows_their_order_and_labels():
    def of(tokens, lengths, labels, dtype="uint8"):
        rows = TokenSequences(np.array(tokens, dtype), np.array(lengths))
        return fingerprint({"test": (rows, np.array(labels))})["test"]

    one = of([1, 2, 3], [1, 2], [0, 1])
    assert one.startswith("2 rows, sha256 ")
    assert of([1, 2, 3], [1, 2], np.array([0, 1], "int32"), "int64") == one
    others = [
        of([1, 2, 3], [2, 1], [0, 1]),
        of([1, 2, 3], [1, 2], [1, 1]),
        of([1, 2, 4], [1, 2], [0, 1]),
        of([2, 3, 1], [2, 1], [1, 0]),
    ]
    assert len({one, *others}) == 5


@pytest.mark.parametrize("change", ["order", "rows"])
@pytest.mark.parametrize("completed", [False, True])
def test_a_run_does_not_go_on_with_other_rows(tmp_path, change, completed):
    experiment = folder_of_rows(tmp_path / "data")
    if completed:
        run(experiment, tmp_path / "run", build_model=build_model)
    else:
        run_until(tmp_path / "run", {"event": "epoch", "epoch": 1}, experiment)
    before = (tmp_path / "run" / "result.json").read_bytes()
    if change == "rows":
        folder_of_rows(tmp_path / "data", data_seed=1)
    else:
        swap(tmp_path / "data" / FILES[2])
    message = r"test is '48 rows, sha256 \w+' there, '48 rows, sha256 \w+' here.*Rec"
    with pytest.raises(ValueError, match=message):
        run(experiment, tmp_path / "run", build_model=build_model)
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    # Without the result, the checkpoint says it.
    if not completed:
        (tmp_path / "run" / "result.json").unlink()
        result = run(experiment, tmp_path / "run", build_model=build_model)
        assert "have other rows" in result.reason


def test_a_comparison_does_not_go_on_with_other_rows(tmp_path):
    experiment = folder_of_rows(tmp_path / "data")

    def prepared():
        comparison = Comparison(tmp_path / "out", [experiment], "jax")
        rows = load("listops", experiment.data, experiment.settings)
        return comparison, comparison.prepare(rows)

    _, facts = prepared()
    assert set(facts["fingerprint"]) == {"train", "validation", "test"}
    folder_of_rows(tmp_path / "data", data_seed=1)
    with pytest.raises(ValueError, match="The existing results have other rows"):
        prepared()
    # Of an earlier version, which wrote none: a result may still know.
    path = tmp_path / "out" / "comparison.json"
    values = read_json(path)
    del values["fingerprint"]
    write_json(path, values)
    _, facts = prepared()
    assert "fingerprint" not in facts
    result = Result(experiment, "completed", fingerprint={"test": "another"})
    (tmp_path / "out" / experiment.name).mkdir()
    result.save(tmp_path / "out" / experiment.name / "result.json")
    with pytest.raises(ValueError, match="test is 'another' there"):
        prepared()
    result.fingerprint = {}
    result.save(tmp_path / "out" / experiment.name / "result.json")
    prepared()


def test_rows_that_change_while_a_comparison_runs_are_told(tmp_path):
    experiment = folder_of_rows(tmp_path / "data")
    backend = keras.backend.backend()
    comparison = Comparison(tmp_path / "out", [experiment], backend)
    comparison.prepare(load("listops", experiment.data, experiment.settings))
    folder_of_rows(tmp_path / "data", data_seed=1)
    (result,) = comparison.run(lambda *_: None)
    assert result.status == "failed"
    assert "The existing results have other rows" in result.reason


def test_a_report_is_of_one_set_of_rows(tmp_path):
    results = [canned_result(name, 0) for name in ("dot_product", "gravitational")]
    # Results of an earlier version know nothing, and say so.
    write_comparison(tmp_path, results)
    write_report(tmp_path)
    results[0].fingerprint = {"test": "one"}
    write_comparison(tmp_path, results)
    write_report(tmp_path)
    results[1].fingerprint = {"test": "two"}
    write_comparison(tmp_path, results)
    with pytest.raises(ValueError, match="test is 'two' there, 'one' here"):
        write_report(tmp_path)
    results.pop()
    write_comparison(tmp_path / "b", results, fingerprint={"test": "two"})
    with pytest.raises(ValueError, match="test is 'one' there, 'two' here"):
        write_report(tmp_path / "b")


def test_results_of_earlier_versions_are_read(tmp_path):
    values = canned_result("dot_product", 0).to_json()
    del values["fingerprint"]
    (tmp_path / "result.json").write_text(json.dumps({"format": 1, **values}))
    assert Result.load(tmp_path / "result.json").fingerprint == {}
