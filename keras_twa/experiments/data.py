"""The rows of a task, ready for training."""

import functools
import itertools
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.datasets import imdb
from keras_twa.datasets import listops
from keras_twa.datasets.baselines import byte_ngram_naive_bayes_baseline
from keras_twa.datasets.baselines import majority_baseline
from keras_twa.datasets.baselines import root_operator_baseline
from keras_twa.datasets.batches import BucketedBatches
from keras_twa.datasets.batches import length_buckets
from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.experiments.fingerprint import Fingerprint
from keras_twa.experiments.fingerprint import fingerprint
from keras_twa.experiments.settings import Settings
from keras_twa.home import expanded

# Called with the numbers of finished rows and of all rows.
Progress = Callable[[int, int], None]
TSV_FILES = ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv")
# Of the training reviews, which have no validation split.
VALIDATION_FRACTION = 0.1
NGRAM = 5
EXAMPLE_LENGTHS = (24, 64)
LONGEST_EXAMPLE = 256
# Rows for training, validation and the test in Long Range Arena. Of its training
# reviews, a tenth is held out here.
LISTOPS_COUNTS = (96_000, 2_000, 2_000)
IMDB_COUNTS = (22_500, 2_500, 25_000)

SAMPLE = "sample, not IMDb"
_IMDB_SOURCES = {
    "tfds": "official reviews from TensorFlow Datasets",
    "archive": "official archive",
    "folder": "aclImdb folder",
    "sample": SAMPLE,
}


@dataclass(frozen=True)
class TaskData:
    """The splits of a task.

    Args:
        splits: `(TokenSequences, labels)` of training, validation and test.
        vocabulary_size: Number of token ids, padding included.
        num_classes: Number of labels.
        source: The source of the rows, for the heading of a report.
        data: The argument of `load_task` that gives the same rows again.
        max_buckets: Largest number of padded lengths.
        symbols: Function from token ids to one string for each.
    """

    splits: dict[str, tuple[TokenSequences, np.ndarray]]
    vocabulary_size: int
    num_classes: int
    source: str
    data: str
    max_buckets: int
    symbols: Callable[[np.ndarray], list[str]]

    def train_batches(self, batch_size: int, seed: int) -> BucketedBatches:
        """Returns shuffled batches of the training rows."""
        return BucketedBatches(
            *self.splits["train"], batch_size, self._bucket_lengths, seed=seed
        )

    def evaluation_batches(self, split: str, batch_size: int) -> BucketedBatches:
        """Returns batches of the same shapes as in training."""
        return BucketedBatches(
            *self.splits[split], batch_size, self._bucket_lengths, shuffle=False
        )

    @functools.cached_property
    def _bucket_lengths(self) -> tuple[int, ...]:
        lengths = np.concatenate([x.lengths for x, _ in self.splits.values()])
        return length_buckets(lengths, self.max_buckets)

    @functools.cached_property
    def fingerprint(self) -> Fingerprint:
        """A text for each split that identifies its rows."""
        return fingerprint(self.splits)

    @property
    def example(self) -> np.ndarray:
        """A validation row of moderate length for plots, always the same."""
        rows, _ = self.splits["validation"]
        shortest, longest = EXAMPLE_LENGTHS
        fits = np.flatnonzero((rows.lengths >= shortest) & (rows.lengths <= longest))
        return np.asarray(rows[fits[0] if len(fits) else 0][:LONGEST_EXAMPLE])

    def baselines(self, task: str) -> dict[str, float]:
        """Returns test accuracies of baselines without attention, by name.

        Counted on the training rows, measured on the test rows.
        """
        train, test = self.splits["train"], self.splits["test"]
        found = {"majority": majority_baseline(train[1], test[1])}
        if task == "listops":
            found["root operator"] = root_operator_baseline(train, test)
        else:
            found[f"{NGRAM}-gram naive Bayes"] = byte_ngram_naive_bayes_baseline(
                train, test, NGRAM
            )
        return found

    def note(self, task: str, settings: Settings) -> str:
        """Returns how the rows differ from Long Range Arena's, or "".

        Args:
            task: `"listops"` or `"imdb"`.
            settings: The `Settings` that the rows were read or generated with.
        """
        counts = tuple(len(labels) for _, labels in self.splits.values())
        if task == "imdb":
            if counts == IMDB_COUNTS and settings.max_length >= 1_000:
                return ""
            return (
                f"Reviews are cut after {settings.max_length:,} bytes, {counts[0]:,} "
                f"are used for training, {counts[2]:,} for testing. Long Range Arena "
                "uses all 50,000, with 1,000 to 4,000 bytes."
            )
        lengths = np.concatenate([rows.lengths for rows, _ in self.splits.values()])
        shortest, longest = int(lengths.min()), int(lengths.max())
        # In so many expressions, the shortest and longest are close to the limits.
        published = (
            counts == LISTOPS_COUNTS
            and 500 < shortest < 600
            and 1_900 < longest < 2_000
        )
        nested = ""
        if self.data == "generated":
            depth, most = settings.max_depth - 1, settings.max_args
            published = published and (depth, most) == (9, 10)
            nested = (
                f" with at most {depth} nested operators of at most {most} arguments"
            )
        if published:
            return ""
        return (
            f"Expressions of {shortest:,} to {longest:,} tokens{nested}, "
            f"{counts[0]:,} for training. Long Range Arena uses 501 to 1,999 tokens, "
            "9 nested operators, 10 arguments and 96,000 expressions."
        )


def load_task(
    task: str, data: str, settings: Settings, progress: Progress | None = None
) -> TaskData:
    """Returns the rows of a task.

    Args:
        task: `"listops"` or `"imdb"`.
        data: For ListOps `"auto"` or `"generated"`, or a folder with files such as
            the published ones; for IMDb `"auto"`, `"tfds"`, `"sample"`, or a path.
        settings: The `Settings`.
        progress: Called while rows are generated.

    Raises:
        ValueError: If the data is missing or malformed.
    """
    load = _load_listops if task == "listops" else _load_imdb
    return load(data, settings, progress)


def _load_listops(data: str, settings: Settings, progress: Progress | None) -> TaskData:
    source = "generated"
    if data in ("auto", source):
        data = source
        splits = listops.load_sequences(
            num_train=settings.num_train or 96_000,
            num_validation=settings.num_validation or 2_000,
            num_test=settings.num_test or 2_000,
            seed=settings.data_seed,
            min_length=settings.min_length,
            max_length=settings.max_length,
            max_depth=settings.max_depth,
            max_args=settings.max_args,
            progress=progress,
        )
    else:
        sizes = (settings.num_train, settings.num_validation, settings.num_test)
        paths = _listops_files(data)
        source = f"files in {paths[0].parent.resolve().name}"
        splits = [
            _read_listops(path, size, settings.max_length)
            for path, size in zip(paths, sizes, strict=True)
        ]
    return TaskData(
        splits=dict(zip(("train", "validation", "test"), splits, strict=True)),
        vocabulary_size=listops.VOCABULARY_SIZE,
        num_classes=listops.NUM_CLASSES,
        source=source,
        data=data,
        max_buckets=settings.max_buckets,
        symbols=lambda tokens: listops.decode(tokens).split(),
    )


def write_listops(task: TaskData, folder: Path, progress: Progress) -> list[Path]:
    """Writes the splits of ListOps as the files that `load_task` reads.

    Args:
        task: The rows.
        folder: The output folder. It may be missing. The files replace earlier ones
            together, after all of them are complete.
        progress: Called with the numbers of finished rows and of all rows.

    Returns:
        The paths.
    """
    wanted = sum(len(labels) for _, labels in task.splits.values())
    done = itertools.count(1)

    def expressions(rows: TokenSequences) -> Iterator[str]:
        for index in range(len(rows)):
            yield listops.decode(rows[index])
            progress(next(done), wanted)

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as hidden:
        for name, (rows, labels) in zip(TSV_FILES, task.splits.values(), strict=True):
            listops.write_tsv(Path(hidden) / name, expressions(rows), labels)
        return [(Path(hidden) / name).replace(folder / name) for name in TSV_FILES]


def _listops_files(data: str) -> list[Path]:
    folder = expanded(data)
    for candidate in (folder, folder / "listops-1000"):
        paths = [candidate / name for name in TSV_FILES]
        if all(path.is_file() for path in paths):
            return paths
    raise ValueError(
        "ListOps data is `generated`, or a folder that contains "
        f"{', '.join(TSV_FILES)}. Received: {data}"
    )


def _read_listops(path: Path, size: int | None, max_length: int) -> Any:
    sources, targets = listops.read_tsv(path)
    rows = [listops.encode(source) for source in sources[:size]]
    lengths = np.array([len(row) for row in rows])
    if not len(rows):
        raise ValueError(f"The file has no rows. Received: {path}")
    if lengths.max() >= max_length:
        raise ValueError(
            f"{path} contains expressions of up to {lengths.max()} tokens. Received: "
            f"max_length={max_length}"
        )
    return TokenSequences(np.concatenate(rows), lengths), targets[:size]


def _load_imdb(data: str, settings: Settings, progress: Progress | None) -> TaskData:
    reviews = imdb.load_sequences(
        source=data,
        max_length=settings.max_length,
        validation_fraction=VALIDATION_FRACTION,
        seed=settings.data_seed,
        progress=progress,
    )
    sizes = (settings.num_train, settings.num_validation, settings.num_test)
    names = ("train", "validation", "test")
    return TaskData(
        splits={
            name: (x[:size], y[:size])
            for name, (x, y), size in zip(names, reviews[:3], sizes, strict=True)
        },
        vocabulary_size=imdb.VOCABULARY_SIZE,
        num_classes=imdb.NUM_CLASSES,
        source=_IMDB_SOURCES[reviews.source],
        data=reviews.source if reviews.source in ("tfds", "sample") else data,
        max_buckets=settings.max_buckets,
        symbols=lambda tokens: [chr(token - 1) for token in tokens],
    )
