"""Attention layers, positions and Transformer blocks."""

from keras_twa.layers.attention import ATTENTION_LAYERS
from keras_twa.layers.attention import AdditiveAttention
from keras_twa.layers.attention import BlockRecurrentAttention
from keras_twa.layers.attention import DifferentialAttention
from keras_twa.layers.attention import DotProductAttention
from keras_twa.layers.attention import ForgettingAttention
from keras_twa.layers.attention import GatedDeltaAttention
from keras_twa.layers.attention import GatedLinearAttention
from keras_twa.layers.attention import GravitationalAttention
from keras_twa.layers.attention import GravitationalMultiTimescaleAttention
from keras_twa.layers.attention import LatentAttention
from keras_twa.layers.attention import LinearAttention
from keras_twa.layers.attention import LocalAttention
from keras_twa.layers.attention import LSHAttention
from keras_twa.layers.attention import Mamba2Attention
from keras_twa.layers.attention import MultiTimescaleAttention
from keras_twa.layers.attention import MultiTimescaleRetention
from keras_twa.layers.attention import PerformerAttention
from keras_twa.layers.attention import RetentionAttention
from keras_twa.layers.attention import RWKVAttention
from keras_twa.layers.attention import SparseAttention
from keras_twa.layers.attention import TemporalWeightedAttention
from keras_twa.layers.attention import TransformerXLAttention
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import InputMemory
from keras_twa.layers.attention.states import KeyValueCache
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.layers.attention.states import WindowCache
from keras_twa.layers.blocks import ChannelMixing
from keras_twa.layers.blocks import FeedForward
from keras_twa.layers.blocks import TransformerDecoder
from keras_twa.layers.blocks import TransformerEncoder
from keras_twa.layers.blocks import get_layout_map
from keras_twa.layers.positions import ALiBiPositions
from keras_twa.layers.positions import LearnedPositions
from keras_twa.layers.positions import RotaryPositions
from keras_twa.layers.positions import ShawPositions
from keras_twa.layers.positions import SinusoidalPositions
from keras_twa.layers.positions import T5Positions
from keras_twa.layers.profiles import Curves
from keras_twa.layers.profiles import Pairs
from keras_twa.layers.registry import each_block
from keras_twa.layers.registry import get
from keras_twa.layers.registry import mechanism_of
from keras_twa.layers.registry import mechanisms
from keras_twa.layers.registry import name_of
from keras_twa.layers.registry import register
from keras_twa.layers.registry import text_of
from keras_twa.mechanism import Mechanism

__all__ = [
    "ATTENTION_LAYERS",
    "ALiBiPositions",
    "AdditiveAttention",
    "Attention",
    "BlockRecurrentAttention",
    "ChannelMixing",
    "Curves",
    "DifferentialAttention",
    "DotProductAttention",
    "FeedForward",
    "ForgettingAttention",
    "GatedDeltaAttention",
    "GatedLinearAttention",
    "GravitationalAttention",
    "GravitationalMultiTimescaleAttention",
    "InputMemory",
    "KeyValueCache",
    "LSHAttention",
    "LatentAttention",
    "LearnedPositions",
    "LinearAttention",
    "LocalAttention",
    "Mamba2Attention",
    "Mechanism",
    "MultiTimescaleAttention",
    "MultiTimescaleRetention",
    "PairAttention",
    "Pairs",
    "PerformerAttention",
    "Projection",
    "RWKVAttention",
    "RecurrentAttention",
    "RecurrentState",
    "RetentionAttention",
    "RotaryPositions",
    "ShawPositions",
    "SinusoidalPositions",
    "Slot",
    "SparseAttention",
    "T5Positions",
    "TemporalWeightedAttention",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerXLAttention",
    "WindowCache",
    "each_block",
    "get",
    "get_layout_map",
    "mechanism_of",
    "mechanisms",
    "name_of",
    "register",
    "text_of",
]
