"""Reviews of IMDb as bytes, positive or negative, as in Long Range Arena."""

from typing import Any

from keras_twa.datasets import imdb
from keras_twa.datasets.baselines import byte_ngram_naive_bayes_baseline
from keras_twa.datasets.baselines import majority_baseline
from keras_twa.tasks import presets
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Progress
from keras_twa.tasks.token_classifier import MAJORITY
from keras_twa.tasks.token_classifier import token_classification
from keras_twa.tasks.token_rows import TokenRows

# Of the training reviews, which have no validation split.
VALIDATION_FRACTION = 0.1
# Rows for training, validation and the test, after a tenth is held out.
PUBLISHED_COUNTS = (22_500, 2_500, 25_000)
NGRAM = 5
SOURCES = {
    "tfds": "official reviews from TensorFlow Datasets",
    "archive": "official archive",
    "folder": "aclImdb folder",
    "sample": "sample, not IMDb",
}


def load(data: str, settings: Settings, progress: Progress | None = None) -> TokenRows:
    """Returns the rows.

    Args:
        data: `"auto"`, `"tfds"`, `"sample"`, or the path of aclImdb or its archive.
        settings: The `Settings`.
        progress: Called while reviews are read.

    Raises:
        ValueError: If the data is missing or malformed.
    """
    reviews = imdb.load_sequences(
        source=data,
        max_length=settings.max_length,
        validation_fraction=VALIDATION_FRACTION,
        seed=settings.data_seed,
        progress=progress,
    )
    sizes = (settings.num_train, settings.num_validation, settings.num_test)
    names = ("train", "validation", "test")
    return TokenRows(
        splits={
            name: (x[:size], y[:size])
            for name, (x, y), size in zip(names, reviews[:3], sizes, strict=True)
        },
        vocabulary_size=imdb.VOCABULARY_SIZE,
        num_classes=imdb.NUM_CLASSES,
        source=SOURCES[reviews.source],
        data=reviews.source if reviews.source in ("tfds", "sample") else data,
        max_buckets=settings.max_buckets,
        symbols=lambda tokens: [chr(token - 1) for token in tokens],
    )


def baselines(rows: TokenRows) -> dict[str, float]:
    """Returns test accuracies of baselines, counted on the training rows."""
    train, test = rows.splits["train"], rows.splits["test"]
    name = f"{NGRAM}-gram naive Bayes"
    return {
        "majority": majority_baseline(train[1], test[1]),
        name: byte_ngram_naive_bayes_baseline(train, test, NGRAM),
    }


def note(rows: TokenRows, settings: Settings) -> str:
    """Returns how the rows differ from Long Range Arena's, or ""."""
    counts = tuple(rows.counts.values())
    if counts == PUBLISHED_COUNTS and settings.max_length >= 1_000:
        return ""
    return (
        f"Reviews are cut after {settings.max_length:,} bytes, {counts[0]:,} "
        f"are used for training, {counts[2]:,} for testing. Long Range Arena "
        "uses all 50,000, with 1,000 to 4,000 bytes."
    )


def _settings(**changes: Any) -> Settings:
    everything: dict[str, Any] = {
        "num_train": None,
        "num_validation": None,
        "num_test": None,
        "max_length": 1024,
    }
    return Settings(**everything | changes)


IMDB = token_classification(
    name="imdb",
    title="byte-level IMDb",
    load=load,
    baselines=baselines,
    explanations=MAJORITY
    | {
        f"{NGRAM}-gram naive Bayes": "which byte n-grams occur",
    },
    note=note,
    caveats=(presets.LRA_CAVEAT,),
    presets={
        "quick": _settings(
            **presets.QUICK | {"num_layers": 1, "embedding_dim": 32, "num_heads": 1},
            num_train=4_000,
            num_validation=500,
            num_test=1_000,
            max_length=256,
            epochs=3,
        ),
        "small": _settings(**presets.SMALL, num_test=10_000),
        "mvp": _settings(),
        "skyformer": _settings(
            **presets.SKYFORMER,
            max_length=4_000,
            epochs=70,
            warmup_steps=80,
            schedule="linear",
        ),
        "lra_paper": _settings(
            **presets.LRA_PAPER,
            max_length=4_000,
            epochs=29,
            max_steps=20_000,
            warmup_steps=8_000,
            learning_rate=0.05 / 8_000**0.5,
        ),
    },
)
