"""Splits by class, the same for the same seed."""

import numpy as np
import pytest

from keras_twa.tasks.splits import stratified_split

pytestmark = pytest.mark.once


@pytest.mark.parametrize("counts", [(3, 3), (100, 20), (4, 60, 7)])
def test_each_class_is_in_each_split(counts):
    labels = np.random.default_rng(0).permutation(np.repeat(range(len(counts)), counts))
    parts = stratified_split(labels, 0, "here", ["a"] * len(counts))
    assert list(parts) == ["train", "validation", "test"]
    together = np.concatenate(list(parts.values()))
    assert sorted(together) == list(range(len(labels)))
    for name, share in (("validation", 0.15), ("test", 0.15)):
        found = np.bincount(labels[parts[name]], minlength=len(counts))
        for count, part in zip(counts, found, strict=True):
            assert part == max(1, round(share * count))
    assert set(labels[parts["train"]]) == set(range(len(counts)))


def test_the_seed_decides():
    labels = np.zeros(50, "int64")
    first, again, other = (stratified_split(labels, seed, "") for seed in (1, 1, 2))
    for name, rows in first.items():
        assert rows.tolist() == again[name].tolist() != other[name].tolist()
        assert (np.diff(rows) > 0).all()


def test_too_few_series_are_refused():
    labels = np.array([0, 0, 0, 1, 1])
    message = r"here: .*3 series of each class.*Received: 2 series of class 'b'"
    with pytest.raises(ValueError, match=message):
        stratified_split(labels, 0, "here", ["a", "b"])
    with pytest.raises(
        ValueError, match=r"at least 3 series, one.*Received: 2 series$"
    ):
        stratified_split(np.array([0, 0]), 0, "here")
