"""The classes that saved models name, known to Keras before anything imports them."""

import importlib
from typing import Any

import keras

PACKAGE = "keras_twa"
# Where each class is that `register_keras_serializable` decorates.
CLASSES = {
    "keras_twa.layers": (
        "ALiBiPositions",
        "AdditiveAttention",
        "BlockRecurrentAttention",
        "ChannelMixing",
        "DifferentialAttention",
        "DotProductAttention",
        "FeedForward",
        "ForgettingAttention",
        "GatedDeltaAttention",
        "GatedLinearAttention",
        "GravitationalAttention",
        "GravitationalMultiTimescaleAttention",
        "LSHAttention",
        "LatentAttention",
        "LearnedPositions",
        "LinearAttention",
        "LocalAttention",
        "Mamba2Attention",
        "MultiTimescaleAttention",
        "MultiTimescaleRetention",
        "PerformerAttention",
        "RWKVAttention",
        "RetentionAttention",
        "RotaryPositions",
        "ShawPositions",
        "SinusoidalPositions",
        "SparseAttention",
        "T5Positions",
        "TemporalWeightedAttention",
        "TransformerDecoder",
        "TransformerEncoder",
        "TransformerXLAttention",
    ),
    "keras_twa.layers.temporal_functions": (
        "ExponentialTime",
        "GatedTime",
        "LearnedTime",
        "LinearTime",
        "SinusoidalTime",
    ),
    "keras_twa.models": (
        "CausalLM",
        "EncoderClassifier",
        "EncoderDecoder",
        "SegmentLanguageModel",
        "TokenClassifier",
        "VisionTransformer",
    ),
    "keras_twa.swapping": ("AttentionAdapter",),
    "keras_twa.swapping.saving": ("Exchanged",),
    "keras_twa.training": (
        "BLEU",
        "MaskedAccuracy",
        "MaskedCrossentropy",
        "Perplexity",
        "WarmupInverseSquareRoot",
    ),
    "keras_twa.experiments.schedule": ("LearningRate",),
}


class SavedClass:
    """Stands for a class, and imports it when Keras asks it for anything.

    Args:
        module: Where the class is.
        name: Its name.
    """

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name

    def __getattr__(self, attribute: str) -> Any:
        # Above all `from_config`.
        return getattr(self._load(), attribute)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._load()(*args, **kwargs)

    def _load(self) -> Any:
        module, name = self._place
        return getattr(importlib.import_module(module), name)


def register() -> None:
    """Tells Keras of all classes. An imported one then takes its own place."""
    known = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            known.setdefault(f"{PACKAGE}>{name}", SavedClass(module, name))
