"""Small complete models built from the blocks."""

from keras_twa.models.encoder_classifier import EncoderClassifier

__all__ = ["EncoderClassifier"]
