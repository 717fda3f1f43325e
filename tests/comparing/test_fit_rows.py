"""What `fit` takes as rows goes into files as it is."""

import keras
import numpy as np
import pytest

from keras_twa.comparing.array_file import ArrayFile
from keras_twa.comparing.data import Data
from keras_twa.comparing.fit_rows import write_rows
from keras_twa.tasks import stored

X = np.arange(60, dtype="float32").reshape(10, 3, 2)
Y = np.arange(10)


def read(folder, groups):
    """The arrays of some groups."""
    return [
        keras.tree.map_structure(
            lambda name: None if name is None else np.load(folder / name), group.names
        )
        for group in groups
    ]


def written(folder, *arguments, **options):
    groups = write_rows(folder, "train", *arguments, **options)
    return groups, read(folder, groups)


class Batches(keras.utils.PyDataset):
    """A data set in batches of four."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(4 * index, 4 * index + 4)
        return X[part], Y[part]


def tf_data():
    tensorflow = pytest.importorskip("tensorflow")
    return tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(4)


def loader():
    torch = pytest.importorskip("torch")
    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    return torch.utils.data.DataLoader(rows, batch_size=4)


def grain_dataset():
    grain = pytest.importorskip("grain")
    return grain.MapDataset.source(list(zip(X, Y, strict=True))).batch(4)


def generator():
    yield from ((X[i : i + 4], Y[i : i + 4]) for i in range(0, 10, 4))


@pytest.mark.once
@pytest.mark.parametrize(
    "make",
    [
        Batches,
        tf_data,
        loader,
        grain_dataset,
        lambda: grain_dataset().to_iter_dataset(),
        generator,
    ],
)
def test_data_sets_are_read_once(make, tmp_path):
    (group,), ((x, y, weights),) = written(tmp_path, make())
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert x.dtype == X.dtype
    assert weights is None
    assert group.count == 10
    assert group.batch_size == 4
    with pytest.raises(ValueError, match="Received: train rows of"):
        write_rows(tmp_path, "train", make(), Y)


@pytest.mark.once
def test_arrays_keep_their_structure(tmp_path):
    torch = pytest.importorskip("torch")
    x = {"values": X, "other": [torch.tensor(X[:, 0]), Y.tolist()]}
    with pytest.raises(ValueError, match="same number of rows"):
        written(tmp_path, x, Y[:9])
    x["other"][1] = Y
    (group,), ((found, y, weights),) = written(tmp_path, x, Y, np.ones(10))
    np.testing.assert_array_equal(found["values"], X)
    np.testing.assert_array_equal(found["other"][0], X[:, 0])
    np.testing.assert_array_equal(y, Y)
    assert weights.shape == (10,)
    assert group.batch_size is None


@pytest.mark.once
def test_tables_and_lists_of_numbers_are_arrays(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    _, ((x, y, _),) = written(tmp_path, frame, [0, 1])
    np.testing.assert_array_equal(x, [[1, 3], [2, 4]])
    np.testing.assert_array_equal(y, [0, 1])


@pytest.mark.once
def test_texts_are_rows(tmp_path):
    _, ((x, _, _),) = written(tmp_path, np.array(["a", "longer"], object), [0, 1])
    assert x.tolist() == ["a", "longer"]
    batches = ((np.array([text.encode()]), [1]) for text in ("a", "longer"))
    _, ((x, _, _),) = written(tmp_path, ((a, np.array(b)) for a, b in batches))
    assert x.tolist() == [b"a", b"longer"]


@pytest.mark.once
def test_batches_of_other_lengths_are_groups(tmp_path):
    batches = [(X[:4], Y[:4]), (X[:2, :2], Y[:2]), (X[4:], Y[4:])]
    groups, ((x, _, _), (short, _, _)) = written(tmp_path, iter(batches))
    assert [group.count for group in groups] == [10, 2]
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(short, X[:2, :2])


@pytest.mark.once
def test_rows_of_different_lengths_are_refused(tmp_path):
    ragged = np.array([np.zeros(2), np.zeros(3)], dtype=object)
    with pytest.raises(ValueError, match=r"pad rows.*Received: ndarray in the train"):
        written(tmp_path, ragged, [0, 1])
    with pytest.raises(ValueError, match="same structure"):
        written(tmp_path, iter([(X[:2], Y[:2]), (X[:2], Y[:2], np.ones(2))]))


@pytest.mark.once
def test_other_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match="of type int"):
        write_rows(tmp_path, "train", 3)
    with pytest.raises(ValueError, match="no rows"):
        write_rows(tmp_path, "train", iter([]))
    with pytest.raises(ValueError, match="no rows"):
        write_rows(tmp_path, "train", X[:0], Y[:0])


@pytest.mark.once
def test_endless_data_sets_need_a_number_of_steps(tmp_path):
    endless = grain_dataset().repeat()
    with pytest.raises(ValueError, match=r"never ends.*Received: train data of type"):
        write_rows(tmp_path, "train", endless)
    (group,), ((x, _, _),) = written(tmp_path, endless, steps=2)
    assert group.count == len(x) == 8
    with pytest.raises(ValueError, match="never ends"):
        write_rows(tmp_path, "train", tf_data().repeat())


@pytest.mark.once
def test_a_file_grows(tmp_path):
    file = ArrayFile(tmp_path / "rows.npy", X[0])
    for start in range(0, 10, 3):
        file.append(X[start : start + 3])
    file.close()
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), X)


def splits(folder, **changes):
    """The targets of each split."""
    (folder / "arrays").mkdir()
    data = Data(**{"x": X, "y": Y, **changes}).write(folder / "arrays")
    found = stored.opened(folder, data.groups)
    targets = {
        name: [y for group in groups for y in group.arrays[1][group.rows]]
        for name, groups in found.items()
    }
    return targets, data.notes


@pytest.mark.once
def test_missing_splits_are_held_out_and_said(tmp_path):
    found, notes = splits(tmp_path)
    assert [len(found[name]) for name in ("train", "validation", "test")] == [8, 1, 1]
    assert sorted([*found["train"], *found["validation"], *found["test"]]) == Y.tolist()
    assert len(notes) == 2
    assert "1 of the 10 rows" in notes[0]


@pytest.mark.once
def test_the_validation_split_is_the_last_part(tmp_path):
    found, notes = splits(tmp_path, validation_split=0.3, test_data=(X, Y))
    assert found["train"] == [*range(7)]
    assert found["validation"] == [7, 8, 9]
    assert found["test"] == Y.tolist()
    assert notes == []


@pytest.mark.once
def test_classes_have_weights(tmp_path):
    (tmp_path / "arrays").mkdir()
    y = np.array([0, 1] * 5)
    data = Data(X, y, np.full(10, 2.0), {1: 3.0}, (X, y), (X, y))
    groups = stored.opened(tmp_path, data.write(tmp_path / "arrays").groups)
    assert groups["train"][0].arrays[2].tolist() == [2.0, 6.0] * 5
    # They are of the training rows only, as in `fit`.
    assert groups["validation"][0].arrays[2] is None


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": None}, "Received: x=None"),
        ({"validation_split": 1.0}, "Received: validation_split=1.0"),
        ({"validation_split": "a"}, "Received: validation_split='a'"),
        ({"validation_split": 0.1, "validation_data": (X, Y)}, "Only one of"),
        ({"validation_data": (X,)}, "Received: 1 parts"),
        ({"x": X[:2], "y": Y[:2]}, "too few training rows"),
        ({"class_weight": {0: 1}, "y": None}, "needs one array of labels"),
    ],
)
def test_other_data_of_a_comparison_is_refused(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        splits(tmp_path, **changes)
