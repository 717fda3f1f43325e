"""The task of archive series: its splits, tokens and baselines."""

import numpy as np
import pytest

from keras_twa import tasks
from keras_twa.datasets import time_series as data
from keras_twa.datasets.time_series import TimeSeries
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.run import run
from keras_twa.tasks import time_series

TASK = time_series.TIME_SERIES
QUICK = TASK.presets["quick"]
SMALL = {
    "embedding_dim": 8,
    "intermediate_dim": 8,
    "num_layers": 1,
    "max_length": 4,
    "epochs": 2,
    "steps_per_epoch": 3,
}
# Of the nearest training series, as the UCR archive states it.
ARCHIVE = {
    "GunPoint": 0.9133,
    "ItalyPowerDemand": 0.9553,
    "ArrowHead": 0.8000,
    "OSULeaf": 0.5207,
    "ACSF1": 0.5400,
    "PickupGestureWiimoteZ": 0.5600,
}
needs_aeon = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('aeon')",
    reason="the extra timeseries is not installed",
)


def made_up(features=2, lengths=(5, 7), rows=12, classes=3):
    """Series that differ by their level."""
    rng = np.random.default_rng(0)

    def split():
        labels = np.arange(rows, dtype="int32") % classes
        series = [
            rng.normal(label, 0.1, (rng.integers(lengths[0], lengths[1] + 1), features))
            for label in labels
        ]
        return series, labels

    return TimeSeries(split(), split(), tuple(map(str, range(classes))))


@pytest.fixture
def series(monkeypatch):
    """Reads made-up series in place of those of the archive."""
    found = made_up()
    monkeypatch.setattr(data, "load_data", lambda name: found)
    return found


@pytest.mark.once
def test_a_fifth_of_each_class_is_held_out():
    labels = np.repeat([0, 1, 2, 3, 4], [30, 10, 3, 2, 1])
    chosen = time_series.validation_rows(labels, seed=0)
    assert np.bincount(labels[chosen], minlength=5).tolist() == [6, 2, 1, 1, 0]
    assert (time_series.validation_rows(labels, seed=0) == chosen).all()
    assert (time_series.validation_rows(labels, seed=1) != chosen).any()


@pytest.mark.once
def test_training_series_are_split_and_test_series_are_not(series):
    rows = tasks.load("time_series", "GunPoint", QUICK)
    assert rows.counts == {"train": 9, "validation": 3, "test": 12}
    assert rows.classes == ("0", "1", "2")
    assert (rows.source, rows.data) == ("GunPoint of the UCR archive", "GunPoint")
    assert sorted(rows.splits["validation"][1]) == [0, 1, 2]
    assert rows.splits["test"][1].tolist() == series.test[1].tolist()
    assert tasks.load("time_series", "auto", QUICK).data == "GunPoint"
    other = tasks.load("time_series", "GunPoint", QUICK.changed(data_seed=1))
    assert other.splits["test"][1].tolist() == rows.splits["test"][1].tolist()
    assert other.fingerprint["validation"] != rows.fingerprint["validation"]


@pytest.mark.once
def test_each_time_step_is_a_token_if_the_series_is_short_enough(series):
    rows = tasks.load("time_series", "GunPoint", QUICK)
    inputs, _, _ = rows.splits["test"]
    assert inputs["values"].shape == (12, series.longest, 2)
    lengths = inputs["mask"].sum(axis=1)
    assert lengths.tolist() == [len(each) for each in series.test[0]]
    assert inputs["times"][0].tolist()[: lengths[0]] == list(range(lengths[0]))
    assert "token" not in TASK.note(rows, QUICK)


@pytest.mark.once
def test_consecutive_time_steps_are_one_token_of_a_long_series(series):
    settings = QUICK.changed(max_length=4)
    rows = tasks.load("time_series", "GunPoint", settings)
    inputs, _, _ = rows.splits["test"]
    assert inputs["values"].shape == (12, 4, 4)
    lengths = [-(-len(each) // 2) for each in series.test[0]]
    assert inputs["mask"].sum(axis=1).tolist() == lengths
    assert inputs["times"][0].tolist()[: lengths[0]] == list(range(lengths[0]))
    assert TASK.note(rows, settings) == (
        "3 of the archive's 12 training series are held out. 2 consecutive time steps "
        "are one token, because series have up to 7 steps."
    )


@pytest.mark.once
def test_the_last_time_step_fills_the_last_token():
    values = [np.arange(10.0).reshape(5, 2)]
    (tokens,), (times,), _ = time_series._tokens(values, np.zeros(1), 3)
    assert tokens.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 8, 9]]
    assert times.tolist() == [0, 1]


@pytest.mark.once
def test_an_epoch_has_a_fixed_number_of_batches(series):
    rows = tasks.load("time_series", "GunPoint", QUICK.changed(steps_per_epoch=7))
    assert len(rows.train_batches(4, seed=0)) == 7
    assert len(list(rows.train_batches(4, seed=0).epoch(2))) == 7
    assert len(rows.evaluation_batches("test", 4)) == 3
    with pytest.raises(ValueError, match="Received: steps=0"):
        settings = QUICK.changed(steps_per_epoch=0)
        tasks.load("time_series", "GunPoint", settings).train_batches(4, seed=0)


@pytest.mark.once
def test_the_nearest_neighbour_ignores_level_and_scale_of_one_feature():
    rising, falling = np.arange(4.0)[:, None], np.arange(4.0)[::-1, None]
    train = ([rising, falling], np.array([0, 1]))
    test = ([5 + 3 * falling, 9 + rising / 2], np.array([1, 0]))
    assert time_series.nearest_neighbour(TimeSeries(train, test, ("a", "b"))) == 1.0


@pytest.mark.once
def test_the_level_of_several_features_counts():
    low, high = np.zeros((4, 2)), np.full((4, 2), 10.0)
    train = ([low, high], np.array([0, 1]))
    test = ([high[:3] - 1, low[:2] + 1], np.array([1, 0]))
    assert time_series.nearest_neighbour(TimeSeries(train, test, ("a", "b"))) == 1.0


@pytest.mark.once
def test_baselines_are_explained_and_the_most_trivial_one_is_first(series, monkeypatch):
    monkeypatch.setattr(time_series, "minirocket", lambda found: 0.75)
    found = TASK.baselines(tasks.load("time_series", "OSULeaf", QUICK))
    assert list(found) == list(TASK.explanations)
    assert next(iter(found.items())) == ("majority", pytest.approx(1 / 3))
    assert found["MiniRocket"] == 0.75
    assert found["HIVE-COTE 2 (published)"] == 0.9669
    for name, text in TASK.explanations.items():
        assert ("published" in name) == ("not computed here" in text)
    several = TASK.baselines(tasks.load("time_series", "JapaneseVowels", QUICK))
    assert not any("published" in name for name in several)


@pytest.mark.parametrize("attention", ["dot_product", "gru"])
@pytest.mark.usefixtures("series")
def test_it_runs(attention, tmp_path):
    experiment = Experiment.from_preset("time_series", "quick", attention, **SMALL)
    result = run(experiment, tmp_path)
    assert (result.status, result.steps) == ("completed", 6), result.reason
    assert 0 <= result.score <= 1


@needs_aeon
@pytest.mark.once
@pytest.mark.parametrize("name", ARCHIVE)
def test_the_nearest_neighbour_is_as_good_as_the_archive_says(name):
    # So the data and the split are those of the archive.
    found = time_series.nearest_neighbour(data.load_data(name))
    assert round(found, 4) == ARCHIVE[name]


@needs_aeon
@pytest.mark.once
@pytest.mark.parametrize("name", ["GunPoint", "ItalyPowerDemand", "ArrowHead"])
def test_published_accuracies_of_time_warping_are_right(name):
    from aeon.distances import dtw_pairwise_distance

    found = data.load_data(name)
    train, test = (np.stack(split[0]).transpose(0, 2, 1) for split in found[:2])
    nearest = dtw_pairwise_distance(test, train).argmin(axis=1)
    accuracy = np.mean(found.train[1][nearest] == found.test[1])
    assert round(float(accuracy), 4) == time_series.PUBLISHED[name][time_series.DTW]


@needs_aeon
@pytest.mark.once
@pytest.mark.parametrize(
    ("file", "name"),
    [("InceptionTime", time_series.INCEPTION), ("HC2", time_series.HIVE_COTE)],
)
def test_published_accuracies_are_those_in_the_files_of_aeon(file, name):
    from pathlib import Path

    import aeon

    folder = Path(aeon.__file__).parent / "testing/example_results_files"
    path = folder / f"classification/accuracy/{file}_accuracy.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    # The first resample is the archive's own split.
    known = {line[0]: round(float(line[1]), 4) for line in lines[1:]}
    for data_set, found in time_series.PUBLISHED.items():
        if name in found:
            assert found[name] == known[data_set]


@needs_aeon
@pytest.mark.once
def test_minirocket_classifies_series_of_different_lengths():
    assert time_series.minirocket(data.load_data("PickupGestureWiimoteZ")) > 0.7
