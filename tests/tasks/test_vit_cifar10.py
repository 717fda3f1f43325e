"""The task on images."""

import numpy as np
import pytest

from keras_twa.datasets import cifar10
from keras_twa.tasks import get
from tests.tasks.tiny import tiny_settings
from tests.tasks.tiny import trained

NAME = "vit_cifar10"


@pytest.fixture(scope="module")
def rows():
    return get(NAME).load("auto", tiny_settings(NAME), None)


@pytest.fixture
def file(tmp_path):
    """A file of 40 images, each of one number, and 6 of the test."""
    images = (
        np.zeros((46, 32, 32, 3), "uint8")
        + np.arange(46, dtype="uint8")[:, None, None, None]
    )
    labels = np.arange(46) % 10
    path = tmp_path / "images.npz"
    np.savez(
        path,
        x_train=images[:40],
        y_train=labels[:40],
        x_test=images[40:],
        y_test=labels[40:],
    )
    return path


def numbers(split):
    """The numbers of the images of a split, whose labels must fit."""
    pixels, labels, weights = split
    found = pixels[:, 0, 0, 0].tolist()
    assert [number % 10 for number in found] == labels.tolist()
    assert weights is None
    return found


@pytest.mark.once
def test_the_sample_says_that_it_is_one(rows):
    assert rows.source.startswith("sample, not CIFAR-10")
    assert rows.data == "sample"
    assert rows.counts == {"train": 32, "validation": 8, "test": 8}
    pixels, labels, _ = rows.splits["test"]
    wanted = cifar10.load_data("sample").test
    np.testing.assert_array_equal(pixels, wanted[0][:8])
    np.testing.assert_array_equal(labels, wanted[1][:8])
    other = get(NAME).load("sample", tiny_settings(NAME, data_seed=1), None)
    assert other.fingerprint["test"] != rows.fingerprint["test"]
    note = get(NAME).note(rows, tiny_settings(NAME))
    assert "32 images for training and 8 for the test" in note


@pytest.mark.once
def test_validation_images_are_held_out(file):
    def load(**changes):
        return get(NAME).load(str(file), tiny_settings(NAME, **changes), None)

    everything = {"num_train": None, "num_validation": None, "num_test": None}
    splits = {name: numbers(part) for name, part in load(**everything).splits.items()}
    assert {name: len(part) for name, part in splits.items()} == {
        "train": 36,
        "validation": 4,
        "test": 6,
    }
    assert sorted(splits["train"] + splits["validation"]) == list(range(40))
    assert splits["test"] == list(range(40, 46))
    # Smaller splits are parts of the same ones.
    few = load(num_train=5, num_validation=4)
    assert numbers(few.splits["train"]) == splits["train"][:5]
    assert numbers(few.splits["validation"]) == splits["validation"]
    other = load(**everything, data_seed=1).splits["validation"]
    assert numbers(other) != splits["validation"]
    assert (few.source, few.data) == ("images in a file", str(file))
    with pytest.raises(ValueError, match="Received: num_validation=40, 40 images"):
        load(num_validation=40)


@pytest.mark.once
def test_baselines_are_those_of_loops(rows):
    (train, labels, _), (test, wanted, _) = rows.splits["train"], rows.splits["test"]
    means = [train[labels == c].astype("float64").mean(axis=0) for c in range(10)]
    nearest = [np.argmin([((x - m) ** 2).sum() for m in means]) for x in test]
    most = max(range(10), key=labels.tolist().count)
    found = get(NAME).baselines(rows)
    assert list(found) == ["majority", "nearest mean image"]
    assert found["majority"] == np.mean(wanted == most)
    assert found["nearest mean image"] == np.mean(nearest == wanted)


def test_a_model_is_trained_and_kept(tmp_path):
    result, rows, model = trained(NAME, tmp_path, "retention", patch_size=16)
    images, labels, _ = rows.splits["test"]
    assert images.dtype == "uint8"
    right = model.predict(images, verbose=0).argmax(axis=-1) == labels
    np.testing.assert_allclose(result.score, right.mean(), rtol=1e-6)
    transformer = model.layers[-1]
    assert transformer.patch_size == (16, 16)
    # It sees numbers from -1 to 1.
    scaled = transformer.predict(images / np.float32(127.5) - 1, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), scaled, atol=1e-5)
