"""Position embeddings: added to the tokens, or inside attention."""

from keras_twa.layers.positions.alibi import ALiBiPositions
from keras_twa.layers.positions.bias import PositionBias
from keras_twa.layers.positions.learned import LearnedPositions
from keras_twa.layers.positions.registry import INSIDE_ATTENTION
from keras_twa.layers.positions.registry import get
from keras_twa.layers.positions.rotary import RotaryPositions
from keras_twa.layers.positions.shaw import ShawPositions
from keras_twa.layers.positions.sinusoidal import SinusoidalPositions
from keras_twa.layers.positions.t5 import T5Positions

__all__ = [
    "INSIDE_ATTENTION",
    "ALiBiPositions",
    "LearnedPositions",
    "PositionBias",
    "RotaryPositions",
    "ShawPositions",
    "SinusoidalPositions",
    "T5Positions",
    "get",
]
