"""Small complete models built from the blocks."""

from keras_twa.models.causal_lm import CausalLM
from keras_twa.models.encoder_classifier import EncoderClassifier
from keras_twa.models.encoder_decoder import EncoderDecoder
from keras_twa.models.sampling import Sample
from keras_twa.models.segment_language_model import SegmentLanguageModel
from keras_twa.models.token_classifier import TokenClassifier
from keras_twa.models.vision_transformer import VisionTransformer

__all__ = [
    "CausalLM",
    "EncoderClassifier",
    "EncoderDecoder",
    "Sample",
    "SegmentLanguageModel",
    "TokenClassifier",
    "VisionTransformer",
]
