"""Series of the archives: read from files that come with a package, not downloaded."""

import socket
import sys
import types

import numpy as np
import pytest

from keras_twa.datasets import time_series

pytestmark = pytest.mark.once

# Training series, test series, shortest and longest series, features, classes.
SIZES = {
    "GunPoint": (50, 150, 150, 150, 1, 2),
    "ItalyPowerDemand": (67, 1029, 24, 24, 1, 2),
    "ArrowHead": (36, 175, 251, 251, 1, 3),
    "OSULeaf": (200, 242, 427, 427, 1, 6),
    "ACSF1": (100, 100, 1460, 1460, 1, 10),
    "PickupGestureWiimoteZ": (50, 50, 29, 361, 1, 10),
    "BasicMotions": (40, 40, 100, 100, 6, 4),
    "JapaneseVowels": (270, 370, 7, 29, 12, 9),
}


def write(root, name):
    """Both files of a data set."""
    folder = root / "datasets" / "data" / name
    folder.mkdir(parents=True)
    for split in ("TRAIN", "TEST"):
        (folder / f"{name}_{split}.ts").write_text(split)


def read(path):
    """Two series with two features, of different lengths."""
    first = 0.0 if path.endswith("TRAIN.ts") else 100.0
    series = [
        first + np.arange(6.0).reshape(2, 3),
        first + np.arange(4.0).reshape(2, 2),
    ]
    return series, np.array(["10", "9"])


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A package with the files of one data set; returns its folder."""
    fake = types.SimpleNamespace(__file__=str(tmp_path / "__init__.py"))
    monkeypatch.setitem(sys.modules, "aeon", fake)
    loaders = types.SimpleNamespace(load_from_ts_file=read)
    monkeypatch.setitem(sys.modules, "aeon.datasets", loaders)
    write(tmp_path, "ArrowHead")
    return tmp_path


@pytest.mark.usefixtures("package")
def test_series_have_time_steps_first_and_labels_have_numbers():
    found = time_series.load_data("ArrowHead")
    assert found.classes == ("9", "10")
    series, labels = found.train
    assert [each.shape for each in series] == [(3, 2), (2, 2)]
    assert series[0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert (labels.tolist(), labels.dtype) == ([1, 0], np.int32)
    assert found.test[0][0].min() == 100
    assert found.longest == 3


@pytest.mark.usefixtures("package")
def test_missing_files_are_an_error_that_says_what_there_is():
    with pytest.raises(ValueError, match=r"of: ArrowHead\. Received: name='GunPoint'"):
        time_series.load_data("GunPoint")


def test_an_unknown_name_is_an_error_before_any_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon", None)
    with pytest.raises(ValueError, match=r"'GunPoint'\?.*Received: name='gun_point'"):
        time_series.load_data("gun_point")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon", None)
    with pytest.raises(ImportError, match=r'needs aeon.*"keras-twa\[timeseries\]"'):
        time_series.load_data("GunPoint")


def test_all_names_are_those_of_the_table():
    assert set(SIZES) == set(time_series.NAMES)
    rows = [
        [cell.strip().replace(",", "") for cell in line.split("|")[1:-1]]
        for line in time_series.load_data.__doc__.splitlines()
        if "|" in line
    ]
    found = {name: tuple(cells) for name, *cells in rows[2:]}
    want = {
        name: tuple(map(str, (train, test, steps_text(low, high), features, classes)))
        for name, (train, test, low, high, features, classes) in SIZES.items()
    }
    assert found == want


def steps_text(low, high):
    return high if low == high else f"{low} to {high}"


@pytest.mark.parametrize("name", SIZES)
def test_the_data_sets_are_there_without_a_network(name, monkeypatch):
    pytest.importorskip("aeon", reason="the extra timeseries is not installed")

    def refuse(*arguments, **options):
        raise AssertionError("This asked for the network.")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = time_series.load_data(name)
    lengths = [len(each) for split in found[:2] for each in split[0]]
    assert SIZES[name] == (
        len(found.train[0]),
        len(found.test[0]),
        min(lengths),
        max(lengths),
        found.train[0][0].shape[1],
        len(found.classes),
    )
    for series, labels in found[:2]:
        assert all(np.isfinite(each).all() for each in series)
        assert set(labels) == set(range(len(found.classes)))
