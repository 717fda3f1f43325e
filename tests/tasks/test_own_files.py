"""Files of the user as tasks: their kind, their rows, and training on them."""

import numpy as np
import pytest

from keras_twa import tasks
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run
from keras_twa.tasks.own_files import is_own_file
from keras_twa.tasks.own_files import label_of
from keras_twa.tasks.own_files import task_of
from keras_twa.tasks.series_rows import SeriesRows
from tests.tasks.own_files import write_table
from tests.tasks.own_files import write_tokens

COLUMNS = {"series": "id", "target": "target"}
TIMED = {**COLUMNS, "time": "when"}
SMALL = {"embedding_dim": 8, "intermediate_dim": 8, "num_layers": 1, "epochs": 2}


def rows_of(path, task, **changes):
    experiment = Experiment.from_preset(task, "quick", "linear", **changes)
    return tasks.load(task, str(path), experiment.settings)


@pytest.mark.once
def test_the_targets_decide_the_task(tmp_path):
    table = str(write_table(tmp_path / "a.csv"))
    assert task_of(table, COLUMNS) == "series_classification"
    write_table(tmp_path / "a.csv", "regression")
    assert task_of(table, COLUMNS) == "series_regression"
    assert task_of(table, COLUMNS, "classification") == "series_classification"
    tokens = str(write_tokens(tmp_path / "a.npz"))
    assert task_of(tokens, {}) == "token_classification"


@pytest.mark.once
@pytest.mark.parametrize(
    ("targets", "wanted"),
    [
        (np.arange(20), "series_classification"),
        (np.arange(21), "series_regression"),
        (np.array([0.0, 1, 2] * 2), "series_classification"),
        (np.array([0.0, 0.5] * 2), "series_regression"),
        (np.arange(30) > 5, "series_classification"),
        (np.arange(30).astype("U"), "series_classification"),
    ],
)
def test_few_whole_numbers_are_classes(targets, wanted, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((len(targets), 2)), y=targets)
    assert task_of(str(tmp_path / "a.npz"), {}) == wanted


@pytest.mark.once
def test_rows_have_times_in_the_unit_of_the_data(tmp_path):
    path = write_table(tmp_path / "a.csv")
    rows = rows_of(path, "series_classification", **TIMED)
    assert rows.counts == {"train": 10, "validation": 2, "test": 2}
    assert rows.classes == ("high", "low")
    inputs, labels, _ = rows.splits["train"]
    assert inputs["values"].shape == (10, 5, 1)
    assert (labels == (inputs["values"][:, 0, 0] < 0)).all()
    real = [
        times[mask] for times, mask in zip(inputs["times"], inputs["mask"], strict=True)
    ]
    assert all(times[0] == 0 for times in real)
    minutes = rows_of(path, "series_classification", **TIMED, time_unit="1min")
    ratio = minutes.splits["train"][0]["times"][:, 1] / inputs["times"][:, 1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    for part in ("'place'", "2 classes (high, low)", f"units of {ratio[0]:g} min (the"):
        assert part in rows.note
    assert "units of 1 min (as asked" in minutes.note
    without = rows_of(path, "series_classification", **COLUMNS)
    steps = without.splits["train"][0]
    assert (steps["times"] == np.arange(5) * steps["mask"]).all()
    assert "at times 0, 1, 2" in without.note


@pytest.mark.once
def test_the_data_seed_chooses_the_splits(tmp_path):
    path = write_table(tmp_path / "a.csv")
    first, again, other = (
        rows_of(path, "series_classification", **COLUMNS, data_seed=seed).fingerprint
        for seed in (1, 1, 2)
    )
    assert first == again
    assert all(first[name] != other[name] for name in first)


@pytest.mark.once
def test_splits_of_a_file_are_kept(tmp_path):
    path = tmp_path / "a.npz"
    parts = {"train": 3, "val": 2, "test": 2}
    given = {f"x_{name}": np.ones((size, 2)) for name, size in parts.items()}
    given |= {f"y_{name}": np.arange(size) + 0.5 for name, size in parts.items()}
    np.savez(path, **given)
    rows = rows_of(path, "series_regression")
    assert rows.counts == {"train": 3, "validation": 2, "test": 2}
    assert "The file states the splits" in rows.note
    np.savez(path, **given | {"y_test": np.array([0.5, 9.5])})
    with pytest.raises(ValueError, match=r"training rows.*'9\.5'"):
        rows_of(path, "series_classification")


@pytest.mark.once
def test_tokens_are_cut_after_the_longest_length(tmp_path):
    path = write_tokens(tmp_path / "a.npz")
    rows = rows_of(path, "token_classification", max_length=5)
    sequences, labels = rows.splits["train"]
    assert sequences.lengths.max() == 5
    assert set(labels) == {0, 1} and rows.num_classes == 2
    assert rows.vocabulary_size == 1 + np.load(path)["x"][:, :5].max()
    assert "are cut after 5 tokens" in rows.note
    assert rows.symbols(sequences[0]) == [str(token) for token in sequences[0]]
    assert "cut" not in rows_of(path, "token_classification").note


@pytest.mark.once
def test_what_does_not_fit_is_refused(tmp_path):
    table = write_table(tmp_path / "a.csv")
    tokens = write_tokens(tmp_path / "tokens.npz")
    series = tmp_path / "b.npz"
    np.savez(series, x=np.zeros((9, 2)), y=np.arange(9) % 2)
    classes, numbers = "series_classification", "series_regression"
    for path, task, changes, message in (
        (tmp_path / "no.csv", classes, COLUMNS, "There is no such file"),
        (tmp_path / "a.txt", classes, COLUMNS, r"must end in \.csv, \.csv\.gz"),
        (tmp_path, classes, COLUMNS, "must end in"),
        (table, classes, {"series": "id"}, "needs `series` and `target`.*target=None"),
        (table, classes, {**COLUMNS, "features": "x"}, "must be a list.*features='x'"),
        (table, numbers, COLUMNS, "line 2, column 'target'.*regression"),
        (table, classes, {**COLUMNS, "time_unit": "1h"}, "needs times.*'1h'"),
        (table, classes, {**TIMED, "time_unit": "5"}, "1h, 15min or 1D"),
        (table, classes, {**COLUMNS, "target": "place"}, "two different targets"),
        (table, classes, {**COLUMNS, "series": "when"}, "the same in all rows"),
        (tokens, classes, {}, "needs series"),
        (tokens, "token_classification", {"time_unit": "2"}, "needs times"),
        (series, "token_classification", {}, "needs tokens"),
        (series, classes, {"series": "id"}, "has no columns.*series='id'"),
    ):
        with pytest.raises(ValueError, match=message):
            rows_of(path, task, **changes)
    with pytest.raises(ValueError, match=r"tokens .* are for classification"):
        task_of(str(tokens), {}, "regression")
    with pytest.raises(ValueError, match="Did you mean 'regression'"):
        task_of(str(series), {}, "regresion")
    write_table(table, series=5)
    with pytest.raises(ValueError, match=r"column 'target': .*2 series of class 'low'"):
        rows_of(table, classes, **COLUMNS)
    write_table(table, "regression", series=2)
    with pytest.raises(ValueError, match=r"column 'target': .*Received: 2 series"):
        rows_of(table, numbers, **COLUMNS)


@pytest.mark.once
def test_names_of_files():
    assert is_own_file("a/b.CSV.gz") and is_own_file("x.npz")
    assert not is_own_file("auto") and not is_own_file("a.tar.gz")
    assert label_of("a/b c (1).tsv.gz") == "b-c-1-"
    assert label_of(".csv") == "file"


@pytest.mark.once
def test_a_feature_that_never_changes_stays_zero():
    values, times = [np.full((3, 1), 0.1)] * 7, [np.arange(3.0)] * 7
    part = (values, times, np.arange(7.0))
    other = ([np.full((3, 1), 0.2)], times[:1], np.zeros(1))
    rows = SeriesRows.of({"train": part, "validation": part, "test": other})
    assert np.abs(rows.splits["train"][0]["values"]).max() < 1e-6
    np.testing.assert_allclose(rows.splits["test"][0]["values"], 0.1, rtol=1e-6)


@pytest.mark.parametrize("attention", ["temporal_weighted", "gru"])
def test_models_train_on_tables(attention, tmp_path):
    path = write_table(tmp_path / "a.csv", "regression")
    changes = {**TIMED, **SMALL}
    experiment = Experiment.from_preset(
        "series_regression", "quick", attention, data=str(path), **changes
    )
    result = run(experiment, tmp_path / "out")
    assert (result.status, result.reason) == ("completed", "")
    assert result.test["mean_absolute_error"] > 0


def test_models_train_on_tokens(tmp_path):
    path = write_tokens(tmp_path / "a.npz")
    experiment = Experiment.from_preset(
        "token_classification", "quick", "dot_product", data=str(path), **SMALL
    )
    result = run(experiment, tmp_path / "out")
    assert (result.status, result.reason) == ("completed", "")
    maps = np.load(tmp_path / "out" / "attention.npz")
    assert maps["symbols"].tolist()
