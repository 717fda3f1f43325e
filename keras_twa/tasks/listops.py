"""ListOps of Long Range Arena: nested operators on digits, generated or from files."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.datasets import listops
from keras_twa.datasets.baselines import majority_baseline
from keras_twa.datasets.baselines import root_operator_baseline
from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.home import expanded
from keras_twa.tasks import presets
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Progress
from keras_twa.tasks.token_classifier import MAJORITY
from keras_twa.tasks.token_classifier import token_classification
from keras_twa.tasks.token_rows import TokenRows

FILES = ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv")
# Rows for training, validation and the test in Long Range Arena.
PUBLISHED_COUNTS = (96_000, 2_000, 2_000)
# The task's own settings. Expressions have more tokens than `min_length`, and fewer
# than `max_length`; their deepest digits have depth `max_depth`, and their operators at
# most `max_args` arguments.
OPTIONS = {"min_length": 500, "max_depth": 10, "max_args": 10}


def load(data: str, settings: Settings, progress: Progress | None = None) -> TokenRows:
    """Returns the rows.

    Args:
        data: `"auto"` or `"generated"`, or a folder with files such as the published
            ones.
        settings: The `Settings`.
        progress: Called while rows are generated.

    Raises:
        ValueError: If files are missing or malformed.
    """
    source = "generated"
    if data in ("auto", source):
        data = source
        splits = listops.load_sequences(
            num_train=settings.num_train or PUBLISHED_COUNTS[0],
            num_validation=settings.num_validation or PUBLISHED_COUNTS[1],
            num_test=settings.num_test or PUBLISHED_COUNTS[2],
            seed=settings.data_seed,
            min_length=settings.options["min_length"],
            max_length=settings.max_length,
            max_depth=settings.options["max_depth"],
            max_args=settings.options["max_args"],
            progress=progress,
        )
    else:
        sizes = (settings.num_train, settings.num_validation, settings.num_test)
        paths = _files(data)
        source = f"files in {paths[0].parent.resolve().name}"
        splits = [
            _read(path, size, settings.max_length)
            for path, size in zip(paths, sizes, strict=True)
        ]
    return TokenRows(
        splits=dict(zip(("train", "validation", "test"), splits, strict=True)),
        vocabulary_size=listops.VOCABULARY_SIZE,
        num_classes=listops.NUM_CLASSES,
        source=source,
        data=data,
        max_buckets=settings.max_buckets,
        symbols=lambda tokens: listops.decode(tokens).split(),
    )


def write(rows: TokenRows, folder: Path, progress: Progress) -> list[Path]:
    """Writes the splits as the files that `load` reads.

    Args:
        rows: The rows.
        folder: The output folder. It may be missing. The files replace earlier ones
            together, after all of them are complete.
        progress: Called with the numbers of finished rows and of all rows.

    Returns:
        The paths.
    """
    wanted = sum(rows.counts.values())
    done = itertools.count(1)

    def expressions(sequences: TokenSequences) -> Iterator[str]:
        for index in range(len(sequences)):
            yield listops.decode(sequences[index])
            progress(next(done), wanted)

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as hidden:
        for name, (sequences, labels) in zip(FILES, rows.splits.values(), strict=True):
            listops.write_tsv(Path(hidden) / name, expressions(sequences), labels)
        return [(Path(hidden) / name).replace(folder / name) for name in FILES]


def baselines(rows: TokenRows) -> dict[str, float]:
    """Returns test accuracies of baselines, counted on the training rows."""
    train, test = rows.splits["train"], rows.splits["test"]
    return {
        "majority": majority_baseline(train[1], test[1]),
        "root operator": root_operator_baseline(train, test),
    }


def note(rows: TokenRows, settings: Settings) -> str:
    """Returns how the rows differ from Long Range Arena's, or ""."""
    counts = tuple(rows.counts.values())
    lengths = np.concatenate([found.lengths for found, _ in rows.splits.values()])
    shortest, longest = int(lengths.min()), int(lengths.max())
    # In so many expressions, the shortest and longest are close to the limits.
    published = (
        counts == PUBLISHED_COUNTS and 500 < shortest < 600 and 1_900 < longest < 2_000
    )
    nested = ""
    if rows.data == "generated":
        depth, most = settings.options["max_depth"] - 1, settings.options["max_args"]
        published = published and (depth, most) == (9, 10)
        nested = f" with at most {depth} nested operators of at most {most} arguments"
    if published:
        return ""
    return (
        f"Expressions of {shortest:,} to {longest:,} tokens{nested}, "
        f"{counts[0]:,} for training. Long Range Arena uses 501 to 1,999 tokens, "
        "9 nested operators, 10 arguments and 96,000 expressions."
    )


def _files(data: str) -> list[Path]:
    folder = expanded(data)
    for candidate in (folder, folder / "listops-1000"):
        paths = [candidate / name for name in FILES]
        if all(path.is_file() for path in paths):
            return paths
    raise ValueError(
        "ListOps data is `generated`, or a folder that contains "
        f"{', '.join(FILES)}. Received: {data}"
    )


def _read(path: Path, size: int | None, max_length: int) -> Any:
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


def _settings(**changes: Any) -> Settings:
    return Settings(**{"options": OPTIONS, **changes})


LISTOPS = token_classification(
    name="listops",
    title="ListOps",
    load=load,
    baselines=baselines,
    explanations=MAJORITY
    | {
        "root operator": "the most frequent label for the first operator",
    },
    note=note,
    caveats=(
        presets.LRA_CAVEAT,
        "An accuracy near that of the root operator means that only the first token "
        "was learned.",
    ),
    options=OPTIONS,
    presets={
        "quick": _settings(
            **presets.QUICK,
            num_train=16_000,
            num_validation=1_000,
            num_test=2_000,
            max_length=65,
            options={"min_length": 1, "max_depth": 4, "max_args": 5},
            epochs=3,
        ),
        "small": _settings(**presets.SMALL),
        "mvp": _settings(),
        "skyformer": _settings(
            **presets.SKYFORMER, epochs=17, warmup_steps=1_000, schedule="linear"
        ),
        "lra_paper": _settings(
            **presets.LRA_PAPER,
            epochs=2,
            max_steps=5_000,
            warmup_steps=1_000,
            learning_rate=0.05 / 1_000**0.5,
        ),
    },
)
