"""Position embeddings, added to the tokens."""

from keras_twa.layers.positions.learned import LearnedPositions
from keras_twa.layers.positions.sinusoidal import SinusoidalPositions

__all__ = ["LearnedPositions", "SinusoidalPositions"]
