"""Small complete models built from the blocks."""

from keras_twa.models.encoder_classifier import EncoderClassifier
from keras_twa.models.segment_language_model import SegmentLanguageModel

__all__ = ["EncoderClassifier", "SegmentLanguageModel"]
