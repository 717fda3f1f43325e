"""Hyperparameter search with KerasTuner, for models of about equal size."""

from keras_twa import extras

try:
    import keras_tuner  # noqa: F401
except ImportError as error:
    message = extras.explain(error, "The search", "keras_tuner", "tuner")
    raise ImportError(message) from error

from keras_twa.tuner.hypermodel import AttentionHyperModel
from keras_twa.tuner.result import TuningResult
from keras_twa.tuner.search import search
from keras_twa.tuner.table import tuning_table

__all__ = ["AttentionHyperModel", "TuningResult", "search", "tuning_table"]
