"""Several runs in processes of their own: killed, resumed, limited, refused."""

import dataclasses
import os
import signal
import types

import keras
import numpy as np
import pytest

from keras_twa.experiments import machine
from keras_twa.experiments import workers
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.lock import locked
from keras_twa.experiments.report import write_report
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import read_json
from keras_twa.tasks import TokenRows
from keras_twa.tasks import imdb
from keras_twa.tasks import listops
from keras_twa.tasks import load
from keras_twa.tasks.listops import FILES
from keras_twa.tasks.settings import Settings
from tests.experiments.test_run import assert_same_learning
from tests.experiments.test_run import start_and_expect_a_kill
from tests.experiments.tiny import compare_tiny
from tests.experiments.tiny import tiny_experiment


def prepared(folder, experiments):
    comparison = Comparison(folder, experiments, keras.backend.backend())
    first = experiments[0]
    comparison.prepare(load(first.task, first.data, first.settings))
    return comparison


@pytest.mark.full
def test_a_killed_comparison_goes_on_and_ends_the_same(tmp_path):
    whole = compare_tiny(tmp_path / "whole")
    assert [result.status for result in whole] == ["completed", "completed"]
    # Each run is a process of its own, with the same seed.
    assert whole[0].experiment.attention != whole[1].experiment.attention

    start_and_expect_a_kill("compare", str(tmp_path / "killed"), 3)
    first = Result.load(tmp_path / "killed" / "dot_product-seed0" / "result.json")
    assert first.status == "completed"
    seen = []
    results = prepared(
        tmp_path / "killed", [result.experiment for result in whole]
    ).run(lambda experiment, event: seen.append((experiment.attention, event)))
    assert results[0] == first
    assert [name for name, event in seen if event["event"] == "start"] == [
        "gravitational"
    ]
    for result, other in zip(results, whole, strict=True):
        assert_same_learning(result, other)


@pytest.mark.full
def test_a_time_limit_leaves_the_rest_for_later(tmp_path):
    experiments = [tiny_experiment(seed=0, epochs=1), tiny_experiment(seed=1, epochs=1)]
    comparison = prepared(tmp_path, experiments)
    results = comparison.run(lambda *_: None, time_limit=0.5)
    assert [result.status for result in results] == ["stopped"]
    assert not (tmp_path / experiments[1].name).exists()


@pytest.mark.full
def test_a_run_that_is_killed_is_failed_and_the_others_go_on(tmp_path):
    experiments = [
        tiny_experiment("dot_product", epochs=1),
        # No mechanism, so its process fails.
        tiny_experiment("no_such_attention", epochs=1),
    ]
    comparison = prepared(tmp_path, experiments[::-1])
    results = comparison.run(lambda *_: None)
    assert [result.status for result in results] == ["failed", "completed"]
    assert "no_such_attention" in results[0].reason


@pytest.fixture(params=["the first process", "each copy of it", "without copies"])
def crash(request, tmp_path, monkeypatch):
    """Ends processes of runs before they can say anything."""
    end = f"os.kill(os.getpid(), {int(signal.SIGKILL)})"
    if request.param == "each copy of it":
        end = f"os.register_at_fork(after_in_child=lambda: {end})"
    if request.param == "without copies":
        monkeypatch.setattr(workers, "_can_fork", lambda: False)
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys\nif 'keras_twa.experiments.host' in str(sys.orig_argv):\n"
        f"    {end}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_a_crash_is_told_by_its_signal(tmp_path, crash):
    experiments = [tiny_experiment(seed=0, epochs=1), tiny_experiment(seed=1, epochs=1)]
    comparison = prepared(tmp_path / "out", experiments)
    results = comparison.run(lambda *_: None)
    # The second run started although the first one crashed.
    assert [result.status for result in results] == ["failed", "failed"]
    assert all("signal 9" in result.reason for result in results)


def test_another_comparison_in_the_folder_is_refused(tmp_path):
    prepared(tmp_path, [tiny_experiment(epochs=1)])
    before = (tmp_path / "comparison.json").read_bytes()
    with pytest.raises(ValueError, match="epochs is 1 there, 2 here"):
        prepared(tmp_path, [tiny_experiment(epochs=2)])
    assert (tmp_path / "comparison.json").read_bytes() == before
    # More mechanisms and seeds are welcome.
    prepared(tmp_path, [tiny_experiment("gravitational", seed=5, epochs=1)])


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="is not a comparison"):
        prepared(tmp_path, [tiny_experiment()])
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_comparison_that_was_killed_at_its_first_file_begins(tmp_path):
    part = tmp_path / "comparison.json.123.part"
    part.write_text('{"form')
    (tmp_path / ".lock").touch()
    comparison = prepared(tmp_path, [tiny_experiment()])
    comparison.run(lambda *_: None, time_limit=1e-9)
    assert not part.exists()
    # Other files are not ours.
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.part").touch()
    with pytest.raises(ValueError, match="is not a comparison"):
        prepared(tmp_path / "b", [tiny_experiment()])


@pytest.mark.full
def test_the_current_folder_replaces_no_module(tmp_path, monkeypatch):
    for name in ("keras_twa", "keras"):
        (tmp_path / "here" / name).mkdir(parents=True)
        (tmp_path / "here" / name / "__init__.py").write_text("raise SystemExit(7)")
    for name in ("random", "queue", "json", "numpy"):
        (tmp_path / "here" / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path / "here")
    experiment = tiny_experiment(epochs=1, max_steps=1)
    (result,) = prepared(tmp_path / "out", [experiment]).run(lambda *_: None)
    assert result.status == "completed", result.reason
    # What really ran is what runs here.
    told = machine.environment()
    for name in ("keras_twa", "commit", "keras"):
        assert result.environment[name] == told[name]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="Received"):
        prepared(tmp_path / "file" / "out", [tiny_experiment()])


def test_two_comparisons_do_not_share_a_folder(tmp_path):
    comparison = prepared(tmp_path, [tiny_experiment()])
    with locked(tmp_path), pytest.raises(BlockingIOError, match="Another process"):
        comparison.run(lambda *_: None)


def test_nothing_to_compare_is_refused(tmp_path):
    with pytest.raises(ValueError, match="experiments="):
        Comparison(tmp_path, [], "jax")


def data_of(data, counts, shortest, longest):
    """Rows of which nothing is there but how many they are, and how long."""
    splits = {}
    for name, count in zip(("train", "validation", "test"), counts, strict=True):
        lengths = np.full(count, shortest)
        lengths[0] = longest
        rows = types.SimpleNamespace(lengths=lengths)
        splits[name] = (rows, np.zeros(count, "int32"))
    return TokenRows(splits, 16, 10, "", data, 2, str)


@pytest.mark.parametrize("data", ["generated", "a/folder"])
def test_rows_that_are_not_the_published_ones_say_so(data):
    presets = listops.LISTOPS.presets
    mvp, quick = presets["mvp"], presets["quick"]
    whole = data_of(data, listops.PUBLISHED_COUNTS, 501, 1_999)
    assert listops.note(whole, mvp) == ""
    for settings in (mvp, quick):
        note = listops.note(data_of(data, (256, 32, 32), 3, 64), settings)
        assert "3 to 64 tokens" in note
        assert "256 for training" in note
    assert ("at most 3 nested operators of at most 5" in note) == (data == "generated")
    note = listops.note(data_of(data, listops.PUBLISHED_COUNTS, 501, 699), mvp)
    assert "501 to 699 tokens" in note


def test_reviews_that_are_not_all_of_them_say_so():
    mvp = imdb.IMDB.presets["mvp"]
    whole = data_of("tfds", imdb.PUBLISHED_COUNTS, 1, 1_024)
    assert imdb.note(whole, mvp) == ""
    short = dataclasses.replace(mvp, max_length=100)
    assert "100 bytes" in imdb.note(whole, short)
    note = imdb.note(data_of("folder", (90, 10, 50), 1, 1_024), mvp)
    assert "90 are used for training, 50 for testing" in note


def test_files_are_called_after_their_folder(tmp_path):
    folder = tmp_path / "sample"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("Source\tTarget\n( ( ( [MAX 4 ) 3 ) ] )\t4\n")
    experiment = dataclasses.replace(tiny_experiment(), data=str(folder))
    prepared(tmp_path / "out", [experiment])
    facts = read_json(tmp_path / "out" / "comparison.json")
    assert facts["source"] == "files in sample"
    assert facts["note"].startswith("Expressions of 4 to 4 tokens, 1 for training.")
    report = write_report(tmp_path / "out").with_suffix(".md").read_text("utf-8")
    assert report.startswith("# Attention mechanisms on ListOps: files in sample\n")
    assert "Not the published task" in report
    assert "These rows were generated." not in report


def test_released_files_are_read(tmp_path):
    mvp = listops.LISTOPS.presets["mvp"]
    rows = "Source\tTarget\n( ( ( [MAX 4 ) 3 ) ] )\t4\n( ( ( [MIN 4 ) 3 ) ] )\t3\n"
    for name in ("train", "val", "test"):
        (tmp_path / f"basic_{name}.tsv").write_text(rows)
    data = load("listops", str(tmp_path), mvp)
    tokens, labels = data.splits["test"]
    assert list(tokens[0]) == [12, 5, 4, 15]
    assert list(labels) == [4, 3]
    assert data.symbols(tokens[0]) == ["[MAX", "4", "3", "]"]
    with pytest.raises(ValueError, match="max_length=3"):
        load("listops", str(tmp_path), mvp.changed(max_length=3, min_length=0))
    (tmp_path / "basic_val.tsv").write_text(rows + "oops\n")
    with pytest.raises(ValueError, match=r"basic_val\.tsv, line 4"):
        load("listops", str(tmp_path), mvp)
    with pytest.raises(ValueError, match=r"basic_train\.tsv"):
        load("listops", str(tmp_path / "none"), mvp)


def test_the_sample_of_reviews_is_called_one():
    settings = Settings(num_train=100, num_validation=20, num_test=30, max_length=64)
    data = load("imdb", "sample", settings)
    assert data.source == "sample, not IMDb"
    assert data.data == "sample"
    assert [len(x) for x, _ in data.splits.values()] == [100, 20, 30]
    assert len(data.symbols(data.example)) == len(data.example) <= 64
    assert set(imdb.baselines(data)) == {"majority", "5-gram naive Bayes"}


def test_batches_come_in_a_handful_of_shapes():
    experiment = tiny_experiment()
    data = load("listops", "generated", experiment.settings)
    train = data.train_batches(16, seed=0)
    test = data.evaluation_batches("test", 16)
    assert len(train.shapes) <= 2
    assert set(test.shapes) <= set(train.shapes)
