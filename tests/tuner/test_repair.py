"""A search goes on with broken files, and not with other rows."""

import dataclasses
import json
import re
import shutil
import warnings
import zlib

import keras_tuner
import pytest

from keras_twa.cli import main
from keras_twa.experiments.results import read_json
from keras_twa.experiments.results import write_json
from keras_twa.tasks import listops
from keras_twa.tasks import load
from keras_twa.tuner import TuningResult
from keras_twa.tuner import hypermodel
from keras_twa.tuner import search
from keras_twa.tuner.trials import OutOfTime
from tests.experiments.tiny import tiny_experiment
from tests.tuner.test_search import plain_models  # noqa: F401
from tests.tuner.tiny import tiny_search

pytestmark = pytest.mark.once

TRIAL = "trials/trial_{}/trial.json"
WEIGHTS = "trials/trial_{}/best.weights.h5"
ORACLE = "trials/oracle.json"
TUNER = "trials/tuner0.json"


@pytest.fixture(scope="module", autouse=True)
def no_training():
    """Trainings that only write weights: what breaks are files."""

    def train(self, configuration, model, callbacks, epochs, initial_epoch):
        chosen = json.dumps(configuration.to_json())
        score = zlib.crc32(chosen.encode()) / 2**32
        for callback in callbacks:
            callback.set_model(model)
            callback.on_epoch_end(initial_epoch, {"val_accuracy": score})
        return {"val_accuracy": score, "val_loss": 1.0, "params": 9.0, "seconds": 1.0}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hypermodel.AttentionHyperModel, "train", train)
        patch.setattr(hypermodel.AttentionHyperModel, "test", lambda *_: 0.5)
        yield


def interrupted(folder, algorithm="random"):
    """A search of four trials that was stopped when it had three."""

    def view(event):
        if event["event"] == "start" and event["trial"] == "3":
            raise OutOfTime

    options = {"max_trials": 4, "algorithm": algorithm, "epochs": 3}
    result = tiny_search(folder, view=view, **options)
    assert not result.complete
    return result


@pytest.fixture(
    scope="module",
    params=[
        "random",
        pytest.param("bayesian", marks=pytest.mark.full),
        pytest.param("hyperband", marks=pytest.mark.full),
    ],
)
def stopped(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    result = interrupted(folder, request.param)
    # As if it was killed before the test.
    for one in (result.best, result.default):
        del one["test_accuracy"]
    result.save()
    return request.param, result


def go_on(folder, algorithm="random", **options):
    """Goes on with a copy of the search, and returns the result and its warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        options = {"max_trials": 4, "algorithm": algorithm, "epochs": 3, **options}
        result = tiny_search(folder, **options)
    texts = [str(one.message) for one in told]
    return result, [text for text in texts if "is broken" in text]


def cut(path, how):
    data = path.read_bytes()
    half = data[: len(data) // 2]
    path.write_bytes({"empty": b"", "half": half, "other": b"[]"}[how])


def without(result, name):
    return [trial for trial in result.trials if trial["id"] != name]


@pytest.mark.parametrize(
    ("number", "how"),
    # The last is the one that was stopped.
    [("0", "empty"), ("1", "half"), ("2", "other"), ("3", "empty")],
)
def test_a_broken_trial_is_set_aside(stopped, tmp_path, number, how):
    algorithm, before = stopped
    folder = shutil.copytree(before.directory, tmp_path / "s")
    path = folder / TRIAL.format(number)
    cut(path, how)
    result, told = go_on(folder, algorithm)
    (text,) = told
    assert text.startswith(f"{path} is broken (")
    assert (folder / "trials" / f"broken-trial_{number}" / "trial.json").exists()
    kept = [one for one in result.trials if one in before.trials]
    assert kept == without(before, number)
    # Another one takes its place.
    assert result.complete
    assert len(result.trials) == len({one["id"] for one in result.trials}) == 4
    assert {"test_accuracy"} <= result.best.keys()
    assert go_on(folder, algorithm) == (result, [])


def test_broken_weights_set_their_trial_aside(stopped, tmp_path):
    algorithm, before = stopped
    folder = shutil.copytree(before.directory, tmp_path / "s")
    best = before.best["id"]
    path = folder / WEIGHTS.format(best)
    cut(path, "half")
    result, (text,) = go_on(folder, algorithm)
    assert text.startswith(f"{path} is broken (")
    assert [one for one in result.trials if one in before.trials] == without(
        before, best
    )
    assert result.complete and len(result.trials) == 4
    assert 0 <= result.best["test_accuracy"] <= 1


@pytest.mark.parametrize("how", ["empty", "half", "gone"])
@pytest.mark.parametrize("name", [ORACLE, TUNER])
def test_what_is_no_trial_is_made_again(stopped, tmp_path, name, how):
    algorithm, before = stopped
    folder = shutil.copytree(before.directory, tmp_path / "s")
    path = folder / name
    if how == "gone":
        path.unlink()
    else:
        cut(path, how)
    result, told = go_on(folder, algorithm)
    if how == "gone":
        assert told == []
    else:
        (text,) = told
        assert text.startswith(f"{path} is broken (")
        assert (path.parent / f"broken-{path.name}").exists()
    assert result.complete
    assert result.trials[:3] == before.trials
    assert [one["id"] for one in result.trials] == ["0", "1", "2", "3"]
    chosen = [json.dumps(one["hyperparameters"]) for one in result.trials]
    assert algorithm == "hyperband" or len(set(chosen)) == 4


def test_everything_broken_at_once(stopped, tmp_path):
    algorithm, before = stopped
    folder = shutil.copytree(before.directory, tmp_path / "s")
    for name in (ORACLE, TUNER, TRIAL.format(0), TRIAL.format(1)):
        cut(folder / name, "empty")
    result, told = go_on(folder, algorithm)
    assert len(told) == 4
    assert result.complete and len(result.trials) == 4
    assert before.trials[2] in result.trials
    # More trials never take a number that is in use.
    more, told = go_on(folder, algorithm, max_trials=6)
    assert told == []
    assert more.trials[:4] == result.trials
    assert len({one["id"] for one in more.trials}) == 6


def test_broken_weights_of_the_default_train_it_again(tmp_path):
    before = interrupted(tmp_path)
    path = tmp_path / "default.best.weights.h5"
    cut(path, "half")
    # They were tested: nobody needs them.
    result, told = go_on(tmp_path)
    assert (result.default, told) == (before.default, [])
    del result.default["test_accuracy"]
    result.save()
    result, (text,) = go_on(tmp_path)
    assert text.startswith(f"{path} is broken (")
    assert result.default["score"] == before.default["score"]
    assert result.default["test_accuracy"] == before.default["test_accuracy"]


def test_a_folder_without_the_trials_file_is_no_trial(tmp_path):
    before = interrupted(tmp_path)
    (tmp_path / TRIAL.format(1)).unlink()
    result, _ = go_on(tmp_path)
    assert result.complete and len(result.trials) == 4
    assert [one for one in result.trials if one in before.trials] == without(
        before, "1"
    )


# Warnings of this package are errors in tests.
@pytest.mark.filterwarnings("default:.*is broken")
def test_the_command_tells_it_in_a_line(tmp_path, monkeypatch, capsys):
    tiny = tiny_experiment(epochs=1, max_buckets=1).settings
    monkeypatch.setitem(listops.LISTOPS.presets, "quick", tiny)
    command = ["tune", "--task", "listops", "--attention", "dot_product"]
    command += ["--max-trials", "1", "--directory", str(tmp_path / "s")]
    assert main(command) == 0
    path = tmp_path / "s" / TRIAL.format(0)
    cut(path, "empty")
    capsys.readouterr()
    assert main(command) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if "is broken" in line]
    assert len(told) == 1
    assert told[0].startswith(f"keras-twa: warning: {path} is broken (")


def test_a_search_that_was_killed_at_its_first_file_begins(tmp_path):
    name = "search.json.123.part"
    (tmp_path / name).write_text('{"form')
    (tmp_path / ".lock").touch()
    tiny_search(tmp_path, time_limit=0.001)
    assert not (tmp_path / name).exists()
    assert (tmp_path / "search.json").exists()


@pytest.mark.parametrize("name", ["thesis.part", "search.json.part", "search.json.old"])
def test_parts_of_other_files_are_not_touched(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match="is not a search"):
        tiny_search(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_search_does_not_go_on_with_other_rows(tmp_path):
    settings = {"num_train": 64, "num_validation": 32, "num_test": 32, "epochs": 1}

    def experiment_on(data_seed):
        experiment = tiny_experiment(**settings, data_seed=data_seed)
        rows = load("listops", "generated", experiment.settings)
        listops.write(rows, tmp_path / "data", lambda *_: None)
        experiment = tiny_experiment(**settings)
        return dataclasses.replace(experiment, data=str(tmp_path / "data"))

    def tiny(experiment):
        return search(
            experiment,
            attentions=["dot_product"],
            directory=tmp_path / "s",
            time_limit=0.001,
        )

    result = tiny(experiment_on(0))
    path = tmp_path / "s" / "search.json"
    facts = read_json(path)
    assert result.fingerprint == facts["fingerprint"]
    assert set(result.fingerprint) == {"train", "validation", "test"}
    assert tiny(experiment_on(0)) == TuningResult.load(tmp_path / "s")
    other = experiment_on(1)
    message = r"test is '32 rows, sha256 \w+' there, '32 rows, sha256 \w+' here"
    with pytest.raises(ValueError, match=message):
        tiny(other)
    # One of an earlier version goes on, and claims nothing.
    del facts["fingerprint"]
    write_json(path, facts)
    (tmp_path / "s" / "result.json").unlink()
    assert tiny(other).fingerprint == {}
    assert read_json(path) == facts


def test_kerastuner_still_writes_these_files(tmp_path):
    """Should it write others, they can break, too."""
    interrupted(tmp_path)
    names = {
        re.sub(r"\d+", "N", str(path.relative_to(tmp_path)))
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert names == {
        ".lock",
        "default.best.weights.hN",
        "result.json",
        "search.json",
        "trials/oracle.json",
        "trials/tunerN.json",
        "trials/trial_N/trial.json",
        "trials/trial_N/best.weights.hN",
    }
    assert keras_tuner.engine.trial.Trial.load(str(tmp_path / TRIAL.format(0)))
