"""CIFAR-10 in each of its forms, and the drawings that take its place."""

import pickle

import numpy as np
import pytest

from keras_twa.datasets import cifar10
from keras_twa.datasets.image_sample import sample_images

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 32, 32, 3)).astype("uint8")
LABELS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1], "int32")
NAMES = (*cifar10.TRAIN_BATCHES, cifar10.TEST_BATCH)
# Two images each.
BATCHES = {name: slice(2 * i, 2 * i + 2) for i, name in enumerate(NAMES)}


def rows_of(images):
    """Return images as the files hold them: red, then green, then blue."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_pickles(folder):
    for name, part in BATCHES.items():
        labels = LABELS[part].tolist()
        batch = {
            b"data": rows_of(IMAGES[part]),
            b"labels": labels,
            b"batch_label": b"x",
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


def write_binary(folder):
    for name, part in BATCHES.items():
        labels = LABELS[part, None].astype("uint8")
        rows = np.concatenate([labels, rows_of(IMAGES[part])], axis=1)
        rows.tofile(folder / f"{name}.bin")
    return folder


def write_npz(folder, **changes):
    arrays = {
        "x_train": IMAGES[:10],
        # As `keras.datasets` has them.
        "y_train": LABELS[:10, None],
        "x_test": IMAGES[10:],
        "y_test": LABELS[10:, None],
    }
    np.savez(folder / "cifar10.npz", **{**arrays, **changes})
    return folder / "cifar10.npz"


@pytest.mark.parametrize("write", [write_pickles, write_binary, write_npz])
def test_reads_what_is_there(write, tmp_path):
    images = cifar10.load_data(write(tmp_path))
    for (x, y), part in ((images.train, slice(10)), (images.test, slice(10, 12))):
        np.testing.assert_array_equal(x, IMAGES[part])
        np.testing.assert_array_equal(y, LABELS[part])
        assert x.dtype == np.uint8
        assert y.dtype == np.int32
    assert images.source == ("npz" if write is write_npz else "folder")


def test_a_missing_batch_is_named(tmp_path):
    write_pickles(tmp_path)
    (tmp_path / "data_batch_3").unlink()
    with pytest.raises(ValueError, match=r"\['data_batch_3'\].*Received:"):
        cifar10.load_data(tmp_path)


class Foreign:
    """What a malicious file would run when it is read."""

    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Foreign()),
        pickle.dumps({b"data": np.zeros((2, 5), "uint8"), b"labels": [0, 1]}),
        pickle.dumps({b"labels": [0, 1]}),
        pickle.dumps([1, 2]),
        b"",
        b"no pickle",
    ],
)
def test_refuses_foreign_pickles(content, tmp_path, capsys):
    write_pickles(tmp_path)
    (tmp_path / "data_batch_2").write_bytes(content)
    with pytest.raises(ValueError, match=r"not images of CIFAR-10.*Received:"):
        cifar10.load_data(tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"x_train": IMAGES[:9]},
        {"x_train": IMAGES[:10].astype("float32")},
        {"x_test": IMAGES[10:, :16]},
        {"y_train": LABELS[:10] + 5},
        {"x_test": IMAGES[:0], "y_test": LABELS[:0]},
    ],
)
def test_refuses_other_arrays(changes, tmp_path):
    with pytest.raises(ValueError, match=r"not images of CIFAR-10.*Received:"):
        cifar10.load_data(write_npz(tmp_path, **changes))


def test_refuses_broken_files_and_missing_paths(tmp_path):
    (tmp_path / "cut.bin").write_bytes(b"12345")
    write_binary(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(b"12345")
    np.savez(tmp_path / "other.npz", x_train=IMAGES)
    for path in (tmp_path, tmp_path / "cut.bin", tmp_path / "other.npz"):
        with pytest.raises(ValueError, match=r"not images of CIFAR-10.*Received:"):
            cifar10.load_data(path)
    with pytest.raises(ValueError, match="Received:"):
        cifar10.load_data(tmp_path / "nowhere")


def test_the_sample_is_reproducible_and_balanced():
    images = cifar10.load_data("sample")
    again = cifar10.load_data("sample")
    np.testing.assert_array_equal(images.train[0], again.train[0])
    assert images.source == "sample"
    assert (np.bincount(images.test[1]) == 100).all()
    other = cifar10.load_data("sample", seed=1)
    assert (images.train[0] != other.train[0]).any()
    # No image is in both splits.
    first = images.train[0][: len(images.test[0])]
    assert (first != images.test[0]).any(axis=(1, 2, 3)).all()


def test_stripes_have_the_direction_of_their_class():
    images, labels = sample_images(200, seed=3)
    gray = images.astype("float64").mean(-1)
    gray -= gray.mean((1, 2), keepdims=True)
    # Inside of the shapes, the spectrum is largest across the stripes.
    spectra = abs(np.fft.fft2(gray[:, 8:24, 8:24]))[:, :9]
    rows, columns = np.meshgrid(np.arange(9), np.fft.fftfreq(16, 1 / 16), indexing="ij")
    spectra = spectra * (np.hypot(rows, columns) > 1.5)
    peaks = spectra.reshape(200, -1).argmax(-1)
    angles = np.arctan2(rows.ravel()[peaks], columns.ravel()[peaks]) % np.pi
    directions = np.round(angles / (np.pi / 5)) % 5
    assert (directions == labels % 5).mean() > 0.8
