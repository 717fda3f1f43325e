"""Tasks that classify sequences of tokens: their model, loss and metric."""

from typing import Any

from keras_twa.datasets.baselines import majority_baseline
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Task
from keras_twa.tasks.token_rows import TokenRows

# What the first of their baselines gives.
MAJORITY = {"majority": "the most frequent label of the training rows, always"}


def token_classification(**facts: Any) -> Task:
    """Returns a task that classifies rows of tokens, compared by accuracy.

    Args:
        **facts: The other arguments of `Task`.
    """
    return Task(
        build_model=build_classifier, loss=cross_entropy, metrics=accuracy, **facts
    )


def build_classifier(attention: Any, settings: Settings, rows: TokenRows) -> Any:
    """Returns the encoder classifier for rows of tokens, not built yet.

    Args:
        attention: What `attention` of a model may be.
        settings: The `Settings`.
        rows: The `TokenRows`.
    """
    from keras_twa.models import EncoderClassifier

    return EncoderClassifier(
        vocabulary_size=rows.vocabulary_size,
        num_classes=rows.num_classes,
        attention=attention,
        num_layers=settings.num_layers,
        embedding_dim=settings.embedding_dim,
        num_heads=settings.num_heads,
        intermediate_dim=settings.intermediate_dim,
        dropout=settings.dropout,
        max_length=settings.max_length,
        positions=None if settings.positions == "none" else settings.positions,
        pooling=settings.pooling,
    )


def cross_entropy() -> Any:
    """Returns the loss, of which rows of weight 0 are no part."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )


def majority(rows: Any) -> dict[str, float]:
    """Returns the test accuracy of the most frequent label of the training rows.

    Args:
        rows: Rows whose splits have one label for each row, in second place.
    """
    train, test = rows.splits["train"][1], rows.splits["test"][1]
    return {"majority": majority_baseline(train, test)}


def accuracy() -> list[Any]:
    """Returns the metrics."""
    import keras

    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
