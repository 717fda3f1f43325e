"""The model that experiments train."""

from typing import Any

from keras_twa.experiments.data import TaskData
from keras_twa.experiments.settings import Settings
from keras_twa.models import EncoderClassifier


def build_classifier(
    attention: Any, settings: Settings, data: TaskData
) -> EncoderClassifier:
    """Returns the encoder classifier for a task, not built yet.

    Args:
        attention: Name of a mechanism, or an attention layer.
        settings: The `Settings`.
        data: The `TaskData`.
    """
    return EncoderClassifier(
        vocabulary_size=data.vocabulary_size,
        num_classes=data.num_classes,
        attention=attention,
        num_layers=settings.num_layers,
        embedding_dim=settings.embedding_dim,
        num_heads=settings.num_heads,
        intermediate_dim=settings.intermediate_dim,
        dropout=settings.dropout,
        max_length=settings.max_length,
        positions=settings.positions,
        pooling=settings.pooling,
    )
