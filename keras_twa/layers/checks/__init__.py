"""Checks of arguments: each raises a `ValueError` before anything is computed."""

from keras_twa.layers.checks.calls import call_of_attention
from keras_twa.layers.checks.mechanisms import built
from keras_twa.layers.checks.mechanisms import can_be_causal
from keras_twa.layers.checks.mechanisms import crosses
from keras_twa.layers.checks.mechanisms import defined_with
from keras_twa.layers.checks.mechanisms import direction
from keras_twa.layers.checks.mechanisms import has_pairs
from keras_twa.layers.checks.mechanisms import has_states
from keras_twa.layers.checks.mechanisms import no_dropout
from keras_twa.layers.checks.mechanisms import no_flash_with
from keras_twa.layers.checks.mechanisms import parts
from keras_twa.layers.checks.mechanisms import projected
from keras_twa.layers.checks.mechanisms import state
from keras_twa.layers.checks.mechanisms import whole_sequences
from keras_twa.layers.checks.mechanisms import without_keras_options
from keras_twa.layers.checks.segments import no_state_of_packed_rows
from keras_twa.layers.checks.segments import packs
from keras_twa.layers.checks.segments import segment_ids
from keras_twa.layers.checks.tensors import call_arguments
from keras_twa.layers.checks.tensors import input_shapes
from keras_twa.layers.checks.tensors import labels
from keras_twa.layers.checks.tensors import padding
from keras_twa.layers.checks.tensors import pairs
from keras_twa.layers.checks.tensors import positions
from keras_twa.layers.checks.tensors import ranks
from keras_twa.layers.checks.tensors import sample_weight
from keras_twa.layers.checks.tensors import sequence
from keras_twa.layers.checks.values import axes
from keras_twa.layers.checks.values import boolean
from keras_twa.layers.checks.values import convolution
from keras_twa.layers.checks.values import discounts
from keras_twa.layers.checks.values import finite_number
from keras_twa.layers.checks.values import grouped_heads
from keras_twa.layers.checks.values import integer
from keras_twa.layers.checks.values import lags
from keras_twa.layers.checks.values import one_of
from keras_twa.layers.checks.values import output_dims
from keras_twa.layers.checks.values import pair
from keras_twa.layers.checks.values import positive_even_integer
from keras_twa.layers.checks.values import positive_integer
from keras_twa.layers.checks.values import positive_number
from keras_twa.layers.checks.values import positive_share
from keras_twa.layers.checks.values import probability
from keras_twa.layers.checks.values import selected_timescales
from keras_twa.layers.checks.values import timescales
from keras_twa.layers.checks.values import tokens
from keras_twa.layers.checks.values import whole_number

__all__ = [
    "axes",
    "boolean",
    "built",
    "call_arguments",
    "call_of_attention",
    "can_be_causal",
    "convolution",
    "crosses",
    "defined_with",
    "direction",
    "discounts",
    "finite_number",
    "grouped_heads",
    "has_pairs",
    "has_states",
    "input_shapes",
    "integer",
    "labels",
    "lags",
    "no_dropout",
    "no_flash_with",
    "no_state_of_packed_rows",
    "one_of",
    "output_dims",
    "packs",
    "padding",
    "pair",
    "pairs",
    "parts",
    "positions",
    "positive_even_integer",
    "positive_integer",
    "positive_number",
    "positive_share",
    "probability",
    "projected",
    "ranks",
    "sample_weight",
    "segment_ids",
    "selected_timescales",
    "sequence",
    "state",
    "timescales",
    "tokens",
    "whole_number",
    "whole_sequences",
    "without_keras_options",
]
