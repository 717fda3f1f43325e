"""Comparisons of attention mechanisms in a Keras model of the user's."""

from keras_twa.comparing.compare import compare
from keras_twa.comparing.model_comparison import ModelComparison

__all__ = ["ModelComparison", "compare"]
