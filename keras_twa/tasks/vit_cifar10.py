"""Images of CIFAR-10, or generated drawings, for a Vision Transformer."""

from typing import Any

import numpy as np

from keras_twa.datasets import cifar10
from keras_twa.datasets.baselines import majority_baseline
from keras_twa.datasets.baselines import nearest_mean_baseline
from keras_twa.tasks import presets
from keras_twa.tasks.array_rows import ArrayRows
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task
from keras_twa.tasks.token_classifier import MAJORITY
from keras_twa.tasks.token_classifier import accuracy
from keras_twa.tasks.token_classifier import cross_entropy

SOURCES = {
    "sample": "sample, not CIFAR-10: generated drawings",
    "npz": "images in a file",
    "folder": "official batches",
}
# Training images, with those for validation, and test images.
PUBLISHED_COUNTS = (50_000, 10_000)
# The task's own setting: height and width of the patches of an image.
OPTIONS = {"patch_size": 8}


def load(data: str, settings: Settings, progress: Progress | None = None) -> ArrayRows:
    """Returns the rows. Validation images are held out from the training images.

    Args:
        data: `"auto"` or `"sample"` for generated drawings; or the path of a folder
            with the official batches, or of an `.npz` file.
        settings: The `Settings`.
        progress: Not called: this takes seconds.

    Raises:
        ValueError: If the data is missing or malformed, or has too few images.
    """
    source = "sample" if data == "auto" else data
    images = cifar10.load_data(source, settings.data_seed)
    count = len(images.train[0])
    held_out = settings.num_validation or count // 10
    if not 0 < held_out < count:
        raise ValueError(
            "There must be images for training and for validation. Received: "
            f"num_validation={settings.num_validation}, {count} images"
        )
    mixed = np.random.default_rng(settings.data_seed).permutation(count)
    train, validation = np.split(mixed, [count - held_out])
    test = np.arange(len(images.test[0]))[: settings.num_test]
    chosen = {
        "train": (images.train, train[: settings.num_train]),
        "validation": (images.train, validation),
        "test": (images.test, test),
    }
    return ArrayRows(
        splits={
            name: (pixels[rows], labels[rows], None)
            for name, ((pixels, labels), rows) in chosen.items()
        },
        source=SOURCES[images.source],
        data=source,
    )


def build_model(attention: Any, settings: Settings, rows: ArrayRows) -> Any:
    """Returns a Vision Transformer for bytes, which it scales to -1 to 1.

    Args:
        attention: What `attention` of a model may be.
        settings: The `Settings`.
        rows: The rows of the task.
    """
    import keras

    from keras_twa.models import VisionTransformer

    return keras.Sequential(
        [
            keras.Input((cifar10.SIZE, cifar10.SIZE, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0),
            VisionTransformer(
                cifar10.SIZE,
                settings.options["patch_size"],
                cifar10.NUM_CLASSES,
                attention,
                num_layers=settings.num_layers,
                embedding_dim=settings.embedding_dim,
                num_heads=settings.num_heads,
                intermediate_dim=settings.intermediate_dim,
                dropout=settings.dropout,
                pooling=settings.pooling,
            ),
        ]
    )


def baselines(rows: ArrayRows) -> dict[str, float]:
    """Returns test accuracies of baselines, counted on the training images."""
    train, test = rows.splits["train"][:2], rows.splits["test"][:2]
    return {
        "majority": majority_baseline(train[1], test[1]),
        "nearest mean image": nearest_mean_baseline(train, test),
    }


def note(rows: ArrayRows, settings: Settings) -> str:
    """Returns how the rows differ from CIFAR-10's, or ""."""
    counts = rows.counts
    if (counts["train"] + counts["validation"], counts["test"]) == PUBLISHED_COUNTS:
        return ""
    return (
        f"{counts['train']:,} images for training and {counts['test']:,} for the test. "
        f"CIFAR-10 has {PUBLISHED_COUNTS[0]:,} and {PUBLISHED_COUNTS[1]:,}."
    )


def _settings(**changes: Any) -> Settings:
    everything: dict[str, Any] = {
        "options": OPTIONS,
        "num_train": None,
        "num_validation": None,
        "num_test": None,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "weight_decay": 0.05,
        "batch_size": 64,
    }
    return Settings(**everything | changes)


VIT_CIFAR10 = Task(
    name="vit_cifar10",
    title="CIFAR-10",
    load=load,
    build_model=build_model,
    loss=cross_entropy,
    metrics=accuracy,
    baselines=baselines,
    explanations=MAJORITY
    | {"nearest mean image": "the class with the nearest mean, pixel by pixel"},
    note=note,
    caveats=("Images are not augmented, so accuracies are lower than published ones.",),
    options=OPTIONS,
    presets={
        "quick": _settings(
            num_train=4_000,
            num_validation=1_000,
            num_test=1_000,
            num_layers=3,
            embedding_dim=64,
            intermediate_dim=128,
            warmup_steps=94,
            epochs=15,
            patience=15,
        ),
        "full": _settings(
            options={"patch_size": 4},
            num_layers=9,
            embedding_dim=192,
            intermediate_dim=384,
            warmup_steps=2_100,
            epochs=30,
            patience=30,
        ),
    },
    used=("pooling", *presets.COUNTS, *presets.TRANSFORMER, *presets.TRAINING),
)
