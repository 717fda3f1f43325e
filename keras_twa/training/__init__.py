"""Training of sequence models: a schedule, a loss and metrics."""

from keras_twa.training.bleu import BLEU
from keras_twa.training.masked_accuracy import MaskedAccuracy
from keras_twa.training.masked_crossentropy import MaskedCrossentropy
from keras_twa.training.perplexity import Perplexity
from keras_twa.training.warmup_inverse_square_root import WarmupInverseSquareRoot

__all__ = [
    "BLEU",
    "MaskedAccuracy",
    "MaskedCrossentropy",
    "Perplexity",
    "WarmupInverseSquareRoot",
]
