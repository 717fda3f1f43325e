"""Arrays of series and tokens: what is read, and what is refused with its name."""

import re
import zipfile

import numpy as np
import pytest

from keras_twa.tasks.array_file import read_arrays

pytestmark = pytest.mark.once

X = np.arange(24.0).reshape(4, 3, 2)
Y = np.array([0, 1, 0, 1])
NAN = np.where(np.arange(3) == 2, np.nan, X[..., 0])


@pytest.fixture
def arrays(tmp_path):
    """Writes arrays to a file, and reads them."""

    def read(kind=None, **arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return read_arrays(tmp_path / "a.npz", kind)

    return read


def lists(arrays):
    return [each.tolist() for each in arrays]


def test_floats_are_series(arrays):
    found = arrays(x=X, y=Y)
    assert lists(found.values) == X.tolist()
    assert lists(found.stamps) == [[0, 1, 2]] * 4
    assert found.targets.tolist() == [0, 1, 0, 1]
    assert not found.has_times and found.splits is None
    # Of two axes, they are one feature.
    found = arrays(x=X[..., 0].astype("float32"), y=Y)
    assert found.values[0].tolist() == [[0], [2], [4]]
    # Integers of three axes, too.
    assert lists(arrays(x=X.astype("int8"), y=Y).values) == X.tolist()


def test_steps_may_be_missing(arrays):
    by_length = arrays(x=NAN, y=Y, lengths=[2, 1, 2, 1])
    assert lists(by_length.values)[:2] == [[[0], [2]], [[6]]]
    mask = np.array([[1, 0, 1]] * 4, "bool")
    found = arrays(x=X, y=Y, mask=mask)
    assert lists(found.values)[0] == [[0, 1], [4, 5]]
    assert lists(found.stamps)[0] == [0, 2]


@pytest.mark.parametrize("kind", ["float64", "uint8", "datetime64[m]"])
def test_times_may_be_numbers_or_dates(arrays, kind):
    times = np.array([[0, 3, 4]] * 4).astype(kind)
    found = arrays(x=NAN, y=Y, times=times, lengths=[2] * 4)
    assert found.has_times
    assert found.stamps[0].tolist() == times[0, :2].tolist()


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_splits_may_be_stated(arrays, validation):
    parts = {"test": 3, validation: 1, "train": 4}
    given = {f"x_{name}": X[:size] for name, size in parts.items()}
    given |= {f"y_{name}": Y[:size] + 0.5 for name, size in parts.items()}
    found = arrays(**given)
    assert {name: rows.tolist() for name, rows in found.splits.items()} == {
        "train": [0, 1, 2, 3],
        "validation": [4],
        "test": [5, 6, 7],
    }
    assert len(found.values) == 8
    assert found.targets.tolist() == [0.5, 1.5, 0.5, 1.5, 0.5, 0.5, 1.5, 0.5]


def test_integers_are_tokens(arrays):
    tokens = np.array([[5, 0, 7, 0], [0, 3, 2, 1], [4, 0, 0, 0]])
    found = arrays(x=tokens, y=np.array(["a", "b", "a"]))
    assert lists(found.sequences) == [[5, 0, 7], [3, 2, 1], [4]]
    assert found.targets.tolist() == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        (np.array([True, False] * 2), ["True", "False"] * 2),
        (np.array([1, 2] * 2, "uint8"), [1, 2] * 2),
        (np.array([0.5, 2] * 2, "float16"), [0.5, 2] * 2),
    ],
)
def test_targets_are_numbers_or_texts(arrays, y, wanted):
    assert arrays(x=X, y=y).targets.tolist() == wanted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": X}, "there is no array 'y'. Received: x"),
        ({"y": Y}, "there is no array 'x'. Received: y"),
        ({}, "Received: no array"),
        ({"x_train": X, "y_train": Y}, "for each of the splits"),
        ({"x": X, "y": Y, "x_test": X}, "for each of the splits"),
        ({"x": X, "y": Y, "label": Y}, "Choose from: x, y, times.*array 'label'"),
        ({"x": X, "y": Y, "time": Y}, "Did you mean 'times'.*array 'time'"),
        ({"x": X, "y": Y, "mask": Y > 0}, r"array 'mask': .*\(4, 3\).*shape \(4,\)"),
        ({"x": X, "y": Y[:3]}, r"array 'y': .*\(4,\)\. Received: shape \(3,\)"),
        ({"x": X, "y": Y[:, None]}, r"array 'y': .*Received: shape \(4, 1\)"),
        ({"x": X, "y": Y, "times": X[:, :2, 0]}, r"array 'times': .*shape \(4, 2\)"),
        ({"x": X[..., None], "y": Y}, r"array 'x': .*shape \(4, 3, 2, 1\)"),
        ({"x": X + 1j, "y": Y}, "array 'x': .*complex128"),
        ({"x": X[:0], "y": Y[:0]}, r"array 'x': it must not be empty.*\(0, 3, 2\)"),
        ({"x": X, "y": Y + 1j}, "array 'y': .*complex128"),
        ({"x": X, "y": np.array([0, np.inf, 0, 0])}, "array 'y': .*inf in row 1"),
        ({"x": NAN, "y": Y}, "array 'x': .*`lengths`.*nan in row 0, step 2, feature 0"),
        ({"x": X * 1e39, "y": Y}, "array 'x': .*row 0, step 0, feature 1"),
        ({"x": X, "y": Y, "lengths": [3, 0, 1, 4]}, "'lengths': .*0 in row=1"),
        ({"x": X, "y": Y, "lengths": [3.0] * 4}, "'lengths': .*float64"),
        ({"x": X, "y": Y, "mask": X[..., 0]}, "'mask': it must be boolean.*float64"),
        ({"x": X, "y": Y, "mask": X[..., 0] > 5}, "'mask': .*none in row 0"),
        (
            {"x": X, "y": Y, "mask": X[..., 0] > -1, "lengths": [1] * 4},
            "'mask': .*exclude each other",
        ),
        ({"x": X, "y": Y, "times": NAN}, "'times': .*nan in row 0, step 2"),
        ({"x": X, "y": Y, "times": -X[..., 0]}, r"fall.*-2\.0 in row 0, step 1"),
        (
            {"x": X, "y": Y, "times": np.full((4, 3), "NaT", "datetime64[s]")},
            "'times': it must be finite. Received: NaT in row 0, step 0",
        ),
        ({"x": X, "y": Y, "times": X[..., 0] > 0}, "'times': .*bool"),
        ({"x": np.array([[1, -1]] * 4), "y": Y}, "'x': .*tokens from -1 to 1"),
        ({"x": np.array([[1, 10**6]] * 4), "y": Y}, "'x': .*tokens from 1 to 1000000"),
        ({"x": np.array([[1], [0]] * 2), "y": Y}, "'x': .*none in row 1"),
        (
            {"x": np.array([[1, 2]] * 4), "y": Y, "lengths": [1] * 4},
            "'lengths': .*toke",
        ),
    ],
)
def test_wrong_arrays_are_named(arrays, given, message):
    with pytest.raises(ValueError, match=rf"a\.npz[:,] .*{message}") as error:
        arrays(**given)
    assert "Received: " in str(error.value)


def test_splits_must_agree(arrays):
    given = {f"x_{name}": X for name in ("train", "val", "test")}
    given |= {f"y_{name}": Y for name in ("train", "val", "test")}
    for change, message in (
        ({"x_validation": X}, "two arrays mean the same. Received: x_val, x_valid"),
        ({"x_test": X[..., :1]}, r"same kind and features.*float64\(4, 3, 1\)"),
        ({"x_test": np.ones((4, 3), "int8")}, "same kind and features"),
        ({"times_train": X[..., 0]}, "there is no array 'times_validation'"),
        ({"y_val": Y.astype("U")}, "'y_train'.*numbers, or texts, or booleans"),
        ({"y_test": Y[:2]}, "array 'y_test'"),
        (
            {
                "times_train": X[..., 0],
                "times_val": X[..., 0],
                "times_test": X[..., 0].astype("datetime64[s]"),
            },
            "must be numbers, or else dates",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            arrays(**given | change)


def test_texts_are_no_numbers(arrays):
    with pytest.raises(ValueError, match=r"'y': .*regression.*<U1"):
        arrays(kind="regression", x=X, y=Y.astype("U1"))


def test_objects_and_other_files_are_refused(arrays, tmp_path):
    with pytest.raises(ValueError, match=r"allow_pickle=False.*array 'x'"):
        arrays(x=np.array([[1], [2, 3]], "O"), y=Y[:2])
    path = tmp_path / "b.npz"
    np.savez(path, x=X, y=Y)
    whole = path.read_bytes()
    for content in (b"", b"no file of arrays", whole[:300], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{re.escape(str(path))}"):
            read_arrays(path)
    with path.open("wb") as file:
        np.save(file, X)
    with pytest.raises(ValueError, match="a single array"):
        read_arrays(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x", "text")
    with pytest.raises(ValueError, match="something else than arrays"):
        read_arrays(path)
    damaged = bytearray(whole)
    damaged[150] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="the array cannot be read"):
        read_arrays(path)
