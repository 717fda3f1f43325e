"""IMDb: every source, the bytes, the splits, the cache, and what can go wrong."""

import os
import shutil

import numpy as np
import pytest

from keras_twa.datasets import cache
from keras_twa.datasets import count_shared
from keras_twa.datasets import imdb
from keras_twa.datasets import imdb_sources
from keras_twa.datasets.baselines import byte_ngram_naive_bayes_baseline
from tests.datasets.reviews import NUM_PER_CLASS
from tests.datasets.reviews import review

pytestmark = pytest.mark.once

REAL_DATA = os.environ.get("KERAS_TWA_IMDB")


@pytest.fixture
def load(tmp_path):
    def load(source, **kwargs):
        return imdb.load_sequences(source, cache_dir=tmp_path / "cache", **kwargs)

    return load


def texts(split):
    return [(row - 1).astype("uint8").tobytes() for row in split[0]]


def same(first, second):
    return all(
        texts(a) == texts(b) and np.array_equal(a[1], b[1])
        for a, b in zip(first[:3], second[:3], strict=True)
    )


def test_bytes_labels_and_splits(archive, load):
    reviews = load(archive, validation_fraction=0.25)
    assert (reviews.source, reviews.warning) == ("archive", None)
    assert [len(y) for _, y in reviews[:3]] == [60, 20, 80]
    assert [y.sum() for _, y in reviews[:3]] == [30, 10, 40]
    found = {
        "train": {*zip(texts(reviews.train), reviews.train[1], strict=True)}
        | {*zip(texts(reviews.validation), reviews.validation[1], strict=True)},
        "test": {*zip(texts(reviews.test), reviews.test[1], strict=True)},
    }
    for split, pairs in found.items():
        assert pairs == {
            (review(split, name, number), label)
            for label, name in enumerate(("neg", "pos"))
            for number in range(NUM_PER_CLASS)
        }
    # The classes are mixed, so that a part of a split is a fair part.
    assert 20 < reviews.test[1][:50].sum() < 30


def test_padded_and_cut(archive, tmp_path):
    reviews = imdb.load_data(archive, max_length=12, cache_dir=tmp_path)
    x, y = reviews.test
    assert x.shape == (80, 12)
    assert x.dtype == y.dtype == np.int32
    start = np.frombuffer(b"test ", "uint8") + 1
    assert (x[:, :5] == start).all()
    long, _ = imdb.load_data(archive, max_length=99, cache_dir=tmp_path).test
    assert long.shape == (80, 99)
    assert (long[:, -1] == 0).all()
    assert np.array_equal(long[:, :12], x)


def test_folder_and_archive_agree(archive, folder, load):
    from_archive = load(archive)
    for path in (folder, str(folder.parent)):
        from_folder = load(path)
        assert from_folder.source == "folder"
        assert same(from_archive, from_folder)


def test_held_out_reviews_depend_on_seed_only(archive, load):
    first = load(archive)
    assert same(first, load(archive))
    other = load(archive, seed=1)
    assert texts(first.validation) != texts(other.validation)
    assert texts(first.test) == texts(other.test)


def doubled(path, copies):
    """Write a folder where the first reviews of each class occur several times."""
    for split in ("train", "test"):
        for name in ("neg", "pos"):
            place = path / split / name
            place.mkdir(parents=True)
            for number in range(NUM_PER_CLASS):
                text = review("train", name, number % copies[name])
                (place / f"{number}_7.txt").write_bytes(text)
    return path


@pytest.mark.parametrize("seed", range(5))
def test_equal_reviews_stay_together(load, tmp_path, seed):
    copies = {"neg": 20, "pos": 33}
    folder = doubled(tmp_path / "doubled", copies)
    reviews = load(folder, validation_fraction=0.3, seed=seed)
    train, validation = texts(reviews.train), texts(reviews.validation)
    assert not {*train} & {*validation}
    assert len({*train}) + len({*validation}) == 53
    assert [len(y) for _, y in reviews[:3]] == [56, 24, 80]
    assert reviews.validation[1].sum() == 12
    assert count_shared(reviews.validation[0], reviews.train[0]) == 0
    shared = count_shared(reviews.test[0], reviews.train[0])
    assert shared == sum(text in train for text in texts(reviews.test)) == 56
    assert same(reviews, load(folder, validation_fraction=0.3, seed=seed))


def test_reviews_that_are_equal_as_cut_stay_together(archive, load):
    for source, length in ((archive, 12), ("sample", 40), ("sample", 300)):
        reviews = load(source, max_length=length)
        assert not {*texts(reviews.train)} & {*texts(reviews.validation)}
        assert len(reviews.validation[1]) > 7


def test_two_classes_may_share_a_review(load, tmp_path):
    folder = doubled(tmp_path / "shared", {"neg": 40, "pos": 40})
    for number in range(10):
        path = folder / "train" / "pos" / f"{number}_7.txt"
        path.write_bytes(review("train", "neg", number))
    for seed in range(5):
        reviews = load(folder, validation_fraction=0.5, seed=seed)
        assert not {*texts(reviews.train)} & {*texts(reviews.validation)}
        assert [y.sum() for _, y in reviews[:2]] == [20, 20]
        assert [len(y) for _, y in reviews[:2]] == [40, 40]


@pytest.mark.parametrize("kept", [1, 2])
def test_too_few_reviews_to_hold_any_out(load, tmp_path, kept):
    folder = doubled(tmp_path / "few", {"neg": 1, "pos": 40})
    for name in ("neg", "pos"):
        for file in (folder / "train" / name).iterdir():
            if int(file.name.partition("_")[0]) >= kept:
                file.unlink()
    message = rf"two different training reviews.*Received: \[{kept}, {kept}\]"
    for fraction in (0.1, 0.9):
        with pytest.raises(ValueError, match=message):
            load(folder, validation_fraction=fraction)


def test_two_reviews_of_each_class_are_enough(folder, load):
    for name in ("neg", "pos"):
        for file in (folder / "train" / name).glob("*_7.txt"):
            if file.name not in ("0_7.txt", "1_7.txt"):
                file.unlink()
    for fraction in (0.01, 0.99):
        reviews = load(folder, validation_fraction=fraction)
        assert [len(y) for _, y in reviews[:2]] == [2, 2]
        assert [y.sum() for _, y in reviews[:2]] == [1, 1]


def test_cache(archive, folder, load, tmp_path, monkeypatch):
    first = load(archive)
    load(folder)
    files = sorted((tmp_path / "cache").iterdir())
    assert [file.suffix for file in files] == [".npz", ".npz"]
    for file in files:
        file.write_bytes(file.read_bytes()[:1000])
    assert same(first, load(archive))
    (folder / "test" / "neg" / "0_7.txt").write_text("changed")
    assert b"changed" in texts(load(folder).test)
    monkeypatch.setattr(imdb_sources, "read_path", None)
    assert same(first, load(archive))
    assert not list((tmp_path / "cache").glob("*.part"))


def test_default_cache_follows_keras_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache.cache_directory() == tmp_path / "keras_twa"


def test_missing_path(load, tmp_path):
    message = r"no reviews at this path\. .*Received: source='.*typo'"
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "typo")


@pytest.mark.parametrize("kept", [0.02, 0.6, 0.95, 0.999])
def test_truncated_archive(archive, load, tmp_path, kept):
    data = archive.read_bytes()
    path = tmp_path / "short.tar.gz"
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match=r"truncated.*Received: source='.*short"):
        load(path)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", bytes(2000)])
def test_file_that_is_no_archive(load, tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"Received: source='.*file'"):
        load(path)


def test_wrong_layout(folder, load, tmp_path):
    shutil.rmtree(folder / "test" / "pos")
    with pytest.raises(ValueError, match=r"no 'test/pos' .*Received: source="):
        load(folder)
    (folder / "test" / "pos").mkdir()
    with pytest.raises(ValueError, match=r"'test/pos/\*\.txt' .*Received: source="):
        load(folder)


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_length": 0},
        {"max_length": 1.5},
        {"validation_fraction": 0},
        {"validation_fraction": 1.0},
        {"seed": -1},
    ],
)
def test_bad_arguments(load, arguments):
    with pytest.raises(ValueError, match="Received: "):
        load("sample", **arguments)


def test_sample_is_learnable_and_not_trivially(load):
    reviews = load("sample", max_length=4096)
    assert reviews.source == "sample"
    assert same(reviews, load("sample", max_length=4096))
    assert not {*texts(reviews.train)} & {*texts(reviews.test)}
    assert [np.mean(y) for _, y in reviews[:3]] == [0.5, 0.5, 0.5]
    single = byte_ngram_naive_bayes_baseline(reviews.train, reviews.test, n=1)
    words = byte_ngram_naive_bayes_baseline(reviews.train, reviews.test, n=7)
    assert single < 0.6
    assert 0.8 < words < 0.95


def test_auto_takes_what_is_cached(archive, load, monkeypatch):
    checksum = imdb_sources.path_checksum(archive)
    first = load(archive)
    monkeypatch.setattr(imdb_sources, "ARCHIVE_MD5", checksum)
    reviews = load("auto")
    assert reviews.source == "archive"
    assert same(reviews, first)


def without_tfds():
    raise ValueError("not installed")


def test_auto_downloads(archive, load, monkeypatch):
    monkeypatch.setattr(imdb_sources, "tfds_builder", without_tfds)
    monkeypatch.setattr(imdb_sources, "check_network", lambda: None)
    monkeypatch.setattr(imdb_sources, "download_archive", lambda directory: archive)
    reviews = load("auto")
    assert (reviews.source, reviews.warning) == ("archive", None)
    assert same(reviews, load(archive))


def test_auto_says_that_it_is_offline(load, monkeypatch, caplog):
    def offline():
        raise OSError("no network\nat all")

    monkeypatch.setattr(imdb_sources, "tfds_builder", without_tfds)
    monkeypatch.setattr(imdb_sources, "check_network", offline)
    reviews = load("auto")
    assert reviews.source == "sample"
    assert "(tfds: not installed; archive: no network)" in reviews.warning
    assert "the generated sample, which is not IMDb" in reviews.warning
    assert reviews.warning in caplog.text
    assert same(reviews, load("sample"))


def test_download_is_checked(monkeypatch, tmp_path):
    keras = pytest.importorskip("keras")
    wrong = tmp_path / "wrong.tar.gz"
    wrong.write_bytes(b"not the official archive")
    monkeypatch.setattr(imdb_sources, "ARCHIVE_URL", wrong.as_uri())
    assert keras.utils.get_file
    with pytest.raises(ValueError, match="hash"):
        imdb_sources.download_archive(tmp_path / "cache")


@pytest.mark.skipif(not REAL_DATA, reason="KERAS_TWA_IMDB names no aclImdb")
def test_real_reviews(tmp_path):
    reviews = imdb.load_sequences(
        REAL_DATA, max_length=100_000, validation_fraction=0.2, cache_dir=tmp_path
    )
    lengths = np.concatenate([x.lengths for x, _ in reviews[:2]])
    assert [len(y) for _, y in reviews[:3]] == [20_000, 5_000, 25_000]
    assert [np.mean(y) for _, y in reviews[:3]] == [0.5, 0.5, 0.5]
    assert lengths.sum() == 33_132_823
    assert reviews.test[0].lengths.sum() == 32_350_685
    assert np.median(lengths) == 979
    assert np.percentile(lengths, 90) == 2617
    assert lengths.max() == 13_704
    for length, part in ((1000, 0.515), (2048, 0.834), (4096, 0.971)):
        assert np.mean(lengths <= length) == pytest.approx(part, abs=0.0006)
    tokens = [x.tokens for x, _ in reviews[:2]]
    assert len(np.unique(np.concatenate(tokens))) == 157
    assert not {*texts(reviews.train)} & {*texts(reviews.validation)}
    assert count_shared(reviews.test[0], reviews.train[0]) == 92
    train = {*texts(reviews.train), *texts(reviews.validation)}
    assert len(train & {*texts(reviews.test)}) == 123
