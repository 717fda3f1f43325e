"""IMDb reviews as bytes, the text task of Long Range Arena."""

import hashlib
import logging
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_twa.datasets import cache
from keras_twa.datasets import checks
from keras_twa.datasets import imdb_sources
from keras_twa.datasets.duplicates import number_rows
from keras_twa.datasets.imdb_sample import sample_reviews
from keras_twa.datasets.progress import shown
from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.home import expanded

logger = logging.getLogger(__name__)

# Byte b becomes token b + 1, and 0 pads.
VOCABULARY_SIZE = 257
NUM_CLASSES = 2
# Part of the name of a cache file: raise it when the contents change.
CACHE_VERSION = 1
CACHED_ARRAYS = tuple(
    f"{split}_{part}"
    for split in imdb_sources.SPLITS
    for part in ("bytes", "lengths", "labels")
)
NUM_SAMPLE_TRAIN = 4_000
NUM_SAMPLE_TEST = 1_000


class Reviews(NamedTuple):
    """The splits of the reviews, and their actual source.

    Attributes:
        train: Tuple `(x, y)` of tokens and labels.
        validation: Tuple `(x, y)`, held out from the official training reviews.
        test: Tuple `(x, y)`, the official test reviews.
        source: `"sample"`, `"tfds"`, `"archive"` or `"folder"`. Results on
            `"sample"` are not results on IMDb.
        warning: What the user should know about the source, or `None`.
    """

    train: Any
    validation: Any
    test: Any
    source: str
    warning: str | None


def load_data(
    source="auto",
    max_length=1024,
    validation_fraction=0.1,
    seed=0,
    cache_dir=None,
    progress=None,
):
    """Loads the reviews of the Large Movie Review Dataset as bytes.

    Every byte is a token: byte + 1, and 0 is padding. The validation reviews are
    held out from the training reviews, the same fraction of both classes. Reviews
    that are equal after truncation stay in one split, so that no validation review
    is also a training review. The test reviews are not changed. Within a split, the
    order is fixed, mixed, and the same for every source of the same reviews.

    Of the 25,000 official test reviews, 123 are also official training reviews.
    `keras_twa.datasets.count_shared(reviews.test[0], reviews.train[0])` counts those
    that are also in the training split.

    Args:
        source: Where the reviews are:
            - `"auto"`: the first of these that works: the cache of an earlier call,
              TensorFlow Datasets if installed, a download of the official archive,
              and without a network the sample, with a `warning`.
            - `"tfds"`: `imdb_reviews` of TensorFlow Datasets. TensorFlow is not
              needed if `array_record` is installed.
            - `"sample"`: generated reviews. They are not IMDb; use them to try
              things out.
            - a path: an `aclImdb` folder, or an archive of it.
        max_length: Longer reviews are cut to this many bytes. Defaults to `1024`.
        validation_fraction: Fraction of the training reviews held out, between 0
            and 1. Defaults to `0.1`.
        seed: Non-negative integer that selects these reviews. Defaults to `0`.
        cache_dir: Folder that stores the reviews for the next call. Defaults to
            `keras_twa` in the Keras home folder (`~/.keras`, or `KERAS_HOME`).
        progress: Function called with `(reviews read, all reviews)`. Defaults
            to a progress bar if the standard error stream is a terminal.

    Returns:
        `Reviews`, a named tuple `(train, validation, test, source, warning)`.
        The splits are tuples `(x, y)` of `int32` tokens of shape
        `(reviews, max_length)`, padded with 0, and `int32` labels of shape
        `(reviews,)`, 1 being positive. At 4,096 bytes that is 820 MB;
        `load_sequences()` gives the same in 100 MB.

    Raises:
        ValueError: If an argument is out of range, the path is missing, an archive
            is truncated, a folder is not `aclImdb`, or a class has too few different
            reviews to hold any out.

    Example:

    >>> reviews = load_data("sample", max_length=256)
    >>> reviews.test[0].shape
    (1000, 256)

    Reference:

    - [Maas et al., 2011](https://aclanthology.org/P11-1015/)
    - [Tay et al., 2020: Long Range Arena](https://arxiv.org/abs/2011.04006)
    """
    reviews = load_sequences(
        source, max_length, validation_fraction, seed, cache_dir, progress
    )
    splits = [(x.padded(max_length), y) for x, y in reviews[:3]]
    return Reviews(*splits, reviews.source, reviews.warning)


def load_sequences(
    source="auto",
    max_length=1024,
    validation_fraction=0.1,
    seed=0,
    cache_dir=None,
    progress=None,
):
    """Like `load_data()`, but without padding.

    Returns:
        `Reviews` whose splits are tuples `(x, y)` of `TokenSequences` of
        `uint16` tokens and `int32` labels.
    """
    _check_arguments(max_length, validation_fraction, seed)
    directory = cache.cache_directory(cache_dir)
    with shown(progress, "Reading reviews") as report:
        arrays, source, warning = _load(source, directory, report)
    if warning is not None:
        logger.warning(warning)
    x, y = _tokens_and_labels(arrays, "train", max_length)
    held_out = _stratified(x, y, validation_fraction, seed)
    train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    return Reviews(
        (x.take(train), y[train]),
        (x.take(validation), y[validation]),
        _tokens_and_labels(arrays, "test", max_length),
        source,
        warning,
    )


def _check_arguments(max_length, validation_fraction, seed):
    checks.integers_from(1, max_length=max_length)
    checks.integers_from(0, seed=seed)
    if not 0 < validation_fraction < 1:
        raise ValueError(
            "`validation_fraction` must be between 0 and 1. "
            f"Received: {validation_fraction=}"
        )


def _load(source, directory, report):
    """Returns the reviews as arrays, the source really used, and a warning."""
    if source == "auto":
        return _load_auto(directory, report)
    if source == "sample":
        return _sample_arrays(), "sample", None
    if source == "tfds":
        builder = imdb_sources.tfds_builder()
        return _load_tfds(builder, directory, report), "tfds", None
    path = expanded(source)
    kind = "folder" if path.is_dir() else "archive"
    return _load_path(path, directory, report), kind, None


def _load_auto(directory, report):
    arrays = cache.load_arrays(
        _cache_path(directory, imdb_sources.ARCHIVE_MD5), CACHED_ARRAYS
    )
    if arrays is not None:
        return arrays, "archive", None
    problems = []
    for source, load in (("tfds", _load_auto_tfds), ("archive", _load_download)):
        try:
            return load(directory, report), source, None
        except Exception as error:  # as plain as `get_file()` raises it
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            problems.append(f"{source}: {first_line}")
    warning = (
        "The IMDb reviews are not cached and could not be loaded "
        f"({'; '.join(problems)}). Using the generated sample, which is not IMDb."
    )
    return _sample_arrays(), "sample", warning


def _load_auto_tfds(directory, report):
    builder = imdb_sources.tfds_builder()
    if not builder.is_prepared():
        imdb_sources.check_network()
    return _load_tfds(builder, directory, report)


def _load_download(directory, report):
    imdb_sources.check_network()
    path = imdb_sources.download_archive(directory)
    return _load_path(path, directory, report)


def _load_path(path, directory, report):
    checksum = imdb_sources.path_checksum(path)
    return _cached(
        _cache_path(directory, checksum), lambda: imdb_sources.read_path(path, report)
    )


def _load_tfds(builder, directory, report):
    place = f"{builder.info.full_name} {builder.data_dir}".encode()
    name = "tfds-" + hashlib.md5(place, usedforsecurity=False).hexdigest()
    return _cached(
        _cache_path(directory, name), lambda: imdb_sources.read_tfds(builder, report)
    )


def _cache_path(directory, name):
    return directory / f"imdb-v{CACHE_VERSION}-{name}.npz"


def _cached(path, read):
    arrays = cache.load_arrays(path, CACHED_ARRAYS)
    if arrays is None:
        arrays = _as_arrays(read())
        cache.save_arrays(path, arrays)
    return arrays


def _sample_arrays():
    return _as_arrays(
        {
            "train": sample_reviews(NUM_SAMPLE_TRAIN, seed=0),
            "test": sample_reviews(NUM_SAMPLE_TEST, seed=1),
        }
    )


def _as_arrays(reviews):
    arrays = {}
    for split, (texts, labels) in reviews.items():
        # Sources differ in their order. The order of the checksums is mixed, and
        # the same for all sources.
        pairs = sorted(
            zip(texts, labels, strict=True),
            key=lambda pair: (hashlib.blake2b(pair[0]).digest(), pair[1]),
        )
        texts = [text for text, _ in pairs]
        arrays[f"{split}_bytes"] = np.frombuffer(b"".join(texts), "uint8")
        arrays[f"{split}_lengths"] = np.array([len(text) for text in texts], "int32")
        arrays[f"{split}_labels"] = np.array([label for _, label in pairs], "uint8")
    return arrays


def _tokens_and_labels(arrays, split, max_length):
    sequences = TokenSequences(arrays[f"{split}_bytes"], arrays[f"{split}_lengths"])
    sequences = sequences.truncated(max_length)
    tokens = sequences.tokens.astype("uint16") + np.uint16(1)
    labels = arrays[f"{split}_labels"].astype("int32")
    return TokenSequences(tokens, sequences.lengths), labels


def _stratified(x, labels, fraction, seed):
    """Returns a mask with the same fraction of each class; equal rows stay together.

    At least one row of each class is in the mask, and at least one is not.
    """
    rng = np.random.default_rng(seed)
    numbers = number_rows(x)
    counts = np.zeros((numbers.max() + 1, NUM_CLASSES), int)
    np.add.at(counts, (numbers, labels), 1)
    rows = np.bincount(labels, minlength=NUM_CLASSES)
    wanted = np.minimum(np.maximum(1, np.round(fraction * rows)), rows - 1)
    chosen, taken = np.zeros(len(counts), bool), np.zeros(NUM_CLASSES, int)
    for label in range(NUM_CLASSES):
        for number in numbers[rng.permutation(np.flatnonzero(labels == label))]:
            fits = (taken + counts[number] <= wanted).all()
            if fits and not chosen[number]:
                chosen[number] = True
                taken += counts[number]
    if not taken.all():
        raise ValueError(
            "Each class must have at least two different training reviews, one of them "
            "for validation: equal reviews stay in one split. Received: "
            f"{rows.tolist()} negative and positive training reviews, of which "
            f"{[int((counts[:, c] > 0).sum()) for c in range(NUM_CLASSES)]} differ "
            f"after truncation to {int(x.lengths.max())} bytes"
        )
    return chosen[numbers]
