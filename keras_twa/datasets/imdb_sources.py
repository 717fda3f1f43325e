"""The sources of the IMDb reviews, and a reader for each.

Every reader returns `{"train": (texts, labels), "test": (texts, labels)}`: lists
of `bytes`, and of 0 (negative) and 1 (positive).
"""

import hashlib
import re
import tarfile
import urllib.request
import zlib
from importlib.util import find_spec
from pathlib import Path

ARCHIVE_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
ARCHIVE_MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
SPLITS = ("train", "test")
# The index of a name is its label. The folder `unsup` has no labels and is skipped.
CLASSES = ("neg", "pos")
REVIEW_PATH = re.compile(r"(?:^|/)(train|test)/(neg|pos)/[^/.][^/]*\.txt$")
NUM_REVIEWS = 50_000
NETWORK_TIMEOUT_SECONDS = 10


def path_checksum(path):
    """Returns a checksum that changes with the reviews at a path.

    For an archive, it is the MD5 checksum. For a folder, it is a checksum of the
    names, sizes and times of its files, without reading them.
    """
    if not path.exists():
        raise ValueError(
            "There are no reviews at this path. Expected the folder or archive "
            "`aclImdb`, or one of 'auto', 'tfds' and 'sample'. "
            f"Received: source={str(path)!r}"
        )
    digest = hashlib.md5(usedforsecurity=False)
    try:
        if path.is_dir():
            for file, split, name in _files(path):
                state = file.stat()
                entry = f"{split}/{name}/{file.name} {state.st_size} "
                digest.update(f"{entry}{state.st_mtime_ns}\n".encode())
        else:
            with path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
    except OSError as error:
        raise ValueError(
            f"Cannot read the reviews: {error}. Received: source={str(path)!r}"
        ) from error
    return digest.hexdigest()


def read_path(path, report):
    """Reads the folder or the archive at the path."""
    reviews = {split: ([], []) for split in SPLITS}
    read = _read_folder if path.is_dir() else _read_archive
    for done, (split, name, text) in enumerate(read(path), start=1):
        texts, labels = reviews[split]
        texts.append(text)
        labels.append(CLASSES.index(name))
        if done % 500 == 0:
            report(done, max(done, NUM_REVIEWS))
    for split, (_, labels) in reviews.items():
        for label, name in enumerate(CLASSES):
            if label not in labels:
                raise ValueError(
                    f"Found no reviews '{split}/{name}/*.txt' as in the official "
                    f"`aclImdb`. Received: source={str(path)!r}"
                )
    return reviews


def tfds_builder():
    """Returns the builder of `imdb_reviews`, of a prepared version if there is one.

    If TensorFlow has to prepare the data, the format is `array_record`. Later calls
    then do not need TensorFlow, which would reserve the GPU of another backend.
    """
    if find_spec("tensorflow_datasets") is None:
        raise ValueError(
            "The source 'tfds' needs tensorflow-datasets: "
            "`pip install \"keras-twa[tfds]\"`. Received: source='tfds'"
        )
    import tensorflow_datasets as tfds

    builder = tfds.builder("imdb_reviews")
    if builder.is_prepared() or find_spec("array_record") is None:
        return builder
    return tfds.builder("imdb_reviews", file_format="array_record")


def read_tfds(builder, report):
    """Reads `imdb_reviews` of TensorFlow Datasets, preparing it if needed."""
    if not builder.is_prepared():
        _require_tensorflow("prepare")
        builder.download_and_prepare()
    reviews = {}
    done = 0
    for split in SPLITS:
        texts, labels = [], []
        for example in _tfds_examples(builder, split):
            text = example["text"]
            texts.append(text if isinstance(text, bytes) else text.encode())
            labels.append(int(example["label"]))
            done += 1
            if done % 500 == 0:
                report(done, max(done, NUM_REVIEWS))
        reviews[split] = (texts, labels)
    return reviews


def check_network():
    """Raises `OSError` if the server of the archive cannot be reached.

    TensorFlow Datasets would take minutes to notice.
    """
    request = urllib.request.Request(ARCHIVE_URL, method="HEAD")
    urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT_SECONDS).close()


def download_archive(directory):
    """Downloads the official archive, checks it, and returns its path."""
    # Only a download needs Keras, and importing it takes seconds.
    import keras

    path = keras.utils.get_file(
        "aclImdb_v1.tar.gz",
        origin=ARCHIVE_URL,
        file_hash=ARCHIVE_MD5,
        hash_algorithm="md5",
        cache_dir=str(directory),
        cache_subdir=".",
    )
    return Path(path)


def _tfds_examples(builder, split):
    if builder.info.file_format.value == "array_record":
        return builder.as_data_source(split=split)
    _require_tensorflow("read")
    import tensorflow_datasets as tfds

    return tfds.as_numpy(builder.as_dataset(split=split))


def _require_tensorflow(task):
    if find_spec("tensorflow") is None:
        raise ValueError(
            f"TensorFlow Datasets needs TensorFlow to {task} `imdb_reviews` here. "
            'Install it with `pip install "keras-twa[tensorflow]"`, or give the '
            "official archive. Received: source='tfds'"
        )


def _read_folder(path):
    for file, split, name in _files(path):
        yield split, name, file.read_bytes()


def _files(path):
    """Yields `(file, split, class)` of the reviews in a folder, in order."""
    root = path / "aclImdb" if (path / "aclImdb").is_dir() else path
    for split in SPLITS:
        for name in CLASSES:
            folder = root / split / name
            if not folder.is_dir():
                raise ValueError(
                    f"The folder has no '{split}/{name}' as the official `aclImdb` "
                    f"has. Received: source={str(path)!r}"
                )
            for file in sorted(folder.iterdir()):
                if REVIEW_PATH.search(f"{split}/{name}/{file.name}"):
                    yield file, split, name


def _read_archive(path):
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                match = REVIEW_PATH.search(member.name)
                if match and member.isfile():
                    yield *match.groups(), archive.extractfile(member).read()
            # Decompression checks the checksum only at the end.
            while archive.fileobj.read(2**20):
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(
            "The file is truncated, or not a tar archive "
            f"({error or type(error).__name__}). Received: source={str(path)!r}"
        ) from error
