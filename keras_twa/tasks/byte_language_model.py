"""A language model of film reviews, byte by byte, in bits per byte."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_twa.datasets import imdb
from keras_twa.datasets.baselines import ngram_bits
from keras_twa.datasets.token_sequences import TokenSequences
from keras_twa.tasks import presets
from keras_twa.tasks.array_rows import SPLITS
from keras_twa.tasks.array_rows import ArrayRows
from keras_twa.tasks.imdb import SOURCES
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import PREDICTS_NEXT
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task
from keras_twa.tasks.token_classifier import cross_entropy

# Byte b is token b + 1. A line feed ends a review.
END = ord("\n") + 1
NGRAMS = (1, 5)
PROMPTS = (b"I found the ", b"The plot was ", b"What a ")
NEW_BYTES = 80


def load(data: str, settings: Settings, progress: Progress | None = None) -> ArrayRows:
    """Returns the rows: `max_length` bytes each, and the next byte after each of them.

    All reviews of a split form one text. They are cut after 1,024 bytes.

    Args:
        data: `"auto"` or `"sample"` for generated reviews; or `"tfds"`, or the path of
            aclImdb or its archive.
        settings: The `Settings`.
        progress: Called while reviews are read.

    Raises:
        ValueError: If the data is missing or malformed, or shorter than a row.
    """
    reviews = imdb.load_sequences(
        "sample" if data == "auto" else data,
        seed=settings.data_seed,
        progress=progress,
    )
    splits = {}
    for name in SPLITS:
        text = as_text(getattr(reviews, name)[0])
        splits[name] = _cut(text, settings.max_length, settings.value(f"num_{name}"))
    return ArrayRows(
        splits,
        source=SOURCES[reviews.source],
        data=reviews.source if reviews.source in ("tfds", "sample") else data,
    )


def as_text(reviews: TokenSequences) -> np.ndarray:
    """Returns all reviews as one sequence of tokens, each ended by a line feed."""
    ended = [np.append(reviews[index], END) for index in range(len(reviews))]
    return np.concatenate(ended).astype("int32")


def build_model(attention: Any, settings: Settings, rows: ArrayRows) -> Any:
    """Returns a causal language model, not built yet.

    Args:
        attention: What `attention` of a model may be.
        settings: The `Settings`.
        rows: The rows of the task.
    """
    from keras_twa.models import CausalLM

    return CausalLM(
        imdb.VOCABULARY_SIZE,
        attention,
        num_layers=settings.num_layers,
        embedding_dim=settings.embedding_dim,
        num_heads=settings.num_heads,
        intermediate_dim=settings.intermediate_dim,
        dropout=settings.dropout,
    )


def metrics() -> list[Any]:
    """Returns the mean cross-entropy in bits."""
    import keras
    from keras import ops

    def bits(labels: Any, logits: Any) -> Any:
        nats = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return nats / np.log(2.0)

    return [keras.metrics.MeanMetricWrapper(bits, name="bits")]


def baselines(rows: ArrayRows) -> dict[str, float]:
    """Returns the bits per test byte of models that count training bytes."""
    train, test = (
        np.append(inputs.ravel(), targets[-1, -1])
        for inputs, targets, _ in (rows.splits["train"], rows.splits["test"])
    )
    return {
        f"{order}-grams": ngram_bits(train, test, order, imdb.VOCABULARY_SIZE)
        for order in NGRAMS
    }


def describe(model: Any, rows: ArrayRows) -> Iterator[str]:
    """Yields texts that a trained model writes after the beginnings of sentences.

    Args:
        model: The model.
        rows: The rows of the task.
    """
    from keras_twa.models import Sample

    texts = model.generate(
        [[byte + 1 for byte in prompt] for prompt in PROMPTS],
        NEW_BYTES,
        Sample(temperature=0.8, top_p=0.95),
        stop_tokens=[END],
        seed=0,
    )
    for tokens in texts:
        written = bytes(token - 1 for token in tokens if token != END)
        yield written.decode("utf-8", errors="replace")


def _cut(text: np.ndarray, length: int, limit: int | None) -> tuple[Any, Any, None]:
    """A text as rows, at most `limit` of them, and the next tokens as targets."""
    count = (len(text) - 1) // length
    if not count:
        raise ValueError(
            "A row must be shorter than the text of each split. Received: "
            f"max_length={length}, {len(text)} bytes"
        )
    size = min(count, limit or count) * length
    inputs, targets = text[:size], text[1 : size + 1]
    return inputs.reshape(-1, length), targets.reshape(-1, length), None


def _settings(**changes: Any) -> Settings:
    everything: dict[str, Any] = {
        "num_train": None,
        "num_validation": None,
        "num_test": None,
        "max_length": 128,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "weight_decay": 0.004,
        "epochs": 6,
    }
    return Settings(**everything | changes)


BYTE_LANGUAGE_MODEL = Task(
    name="byte_language_model",
    title="a language model of bytes",
    load=load,
    build_model=build_model,
    loss=cross_entropy,
    metrics=metrics,
    metric=Metric("bits", higher_is_better=False, percent=False),
    baselines=baselines,
    explanations={
        f"{order}-grams": "how often each byte occurs"
        + (f" after the {order - 1} before it" if order > 1 else "")
        for order in NGRAMS
    },
    caveats=("Bits are bits per byte, the base-2 logarithm of the perplexity.",),
    presets={
        # 150,000 bytes for training, and 50,000 for the test.
        "quick": _settings(num_train=1_171, num_validation=390, num_test=390),
        "full": _settings(),
    },
    used=(
        "max_length",
        *presets.COUNTS,
        *presets.TRANSFORMER,
        *presets.TRAINING,
    ),
    requires=PREDICTS_NEXT,
)
