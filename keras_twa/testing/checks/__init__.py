"""The promises of every attention layer, one module for each kind.

Each check takes a `Case` (a layer class, its options, its float64 loop) and raises an
`AssertionError` if the promise is broken. `keras_twa.testing.check_attention` runs all
of them on one layer.
"""

from keras_twa.testing.checks.bad_input import BAD_OPTIONS
from keras_twa.testing.checks.bad_input import bad_calls
from keras_twa.testing.checks.bad_input import refuses_bad_call
from keras_twa.testing.checks.bad_input import refuses_bad_options
from keras_twa.testing.checks.causality import future_leaves_past
from keras_twa.testing.checks.curvature import second_derivatives_equal_reference
from keras_twa.testing.checks.directions import refuses_causal_calls
from keras_twa.testing.checks.directions import reversed_input_gives_reversed_output
from keras_twa.testing.checks.dropout import dropout_drops_whole_weights
from keras_twa.testing.checks.dropout import dropout_has_its_own_gradient
from keras_twa.testing.checks.dropout import dropout_is_sound
from keras_twa.testing.checks.empty_axes import empty_axes_are_answered
from keras_twa.testing.checks.empty_axes import empty_chunks_leave_states
from keras_twa.testing.checks.empty_axes import no_keys_are_hidden_keys
from keras_twa.testing.checks.extreme_numbers import coincident_points_stay_exact
from keras_twa.testing.checks.extreme_numbers import features_of_any_size_count
from keras_twa.testing.checks.extreme_numbers import large_logits_stay_finite
from keras_twa.testing.checks.float64 import float64_is_taken
from keras_twa.testing.checks.forms import folds_axes
from keras_twa.testing.checks.forms import takes_nested_lists
from keras_twa.testing.checks.keras_conventions import fits_at_unknown_length
from keras_twa.testing.checks.keras_conventions import masks_propagate
from keras_twa.testing.checks.keras_conventions import symbolic_equals_eager
from keras_twa.testing.checks.masked_rows import masked_rows_give_zero
from keras_twa.testing.checks.packing import packed_rows_attend_across
from keras_twa.testing.checks.packing import packed_rows_equal_segments
from keras_twa.testing.checks.packing import refuses_packed_rows
from keras_twa.testing.checks.padding import padding_is_inert
from keras_twa.testing.checks.precision import half_precision_does_not_overflow
from keras_twa.testing.checks.precision import half_precision_is_close
from keras_twa.testing.checks.precision import timestamps_keep_their_precision
from keras_twa.testing.checks.projected import projected_equals_one_call
from keras_twa.testing.checks.projected import projected_has_the_stated_shapes
from keras_twa.testing.checks.projected import refuses_bad_projected
from keras_twa.testing.checks.projected import refuses_projected
from keras_twa.testing.checks.ragged import ragged_rows_equal_each_alone
from keras_twa.testing.checks.reference import equals_reference
from keras_twa.testing.checks.reference import equals_reference_at_length
from keras_twa.testing.checks.reference import equals_reference_in
from keras_twa.testing.checks.reference import gradients_equal_reference
from keras_twa.testing.checks.serialization import config_round_trips
from keras_twa.testing.checks.serialization import saves_and_loads
from keras_twa.testing.checks.shared import small_tokens
from keras_twa.testing.checks.streaming import parts_equal_one_call
from keras_twa.testing.checks.streaming import refuses_bad_streams
from keras_twa.testing.checks.streaming import refuses_states
from keras_twa.testing.checks.streaming import states_carry_gradients
from keras_twa.testing.checks.streaming import states_have_the_stated_shapes
from keras_twa.testing.checks.streaming import states_stop_gradients
from keras_twa.testing.checks.streaming import steps_equal_one_call
from keras_twa.testing.harness import assert_close

__all__ = [
    "BAD_OPTIONS",
    "assert_close",
    "bad_calls",
    "coincident_points_stay_exact",
    "config_round_trips",
    "dropout_drops_whole_weights",
    "dropout_has_its_own_gradient",
    "dropout_is_sound",
    "empty_axes_are_answered",
    "empty_chunks_leave_states",
    "equals_reference",
    "equals_reference_at_length",
    "equals_reference_in",
    "features_of_any_size_count",
    "fits_at_unknown_length",
    "float64_is_taken",
    "folds_axes",
    "future_leaves_past",
    "gradients_equal_reference",
    "half_precision_does_not_overflow",
    "half_precision_is_close",
    "large_logits_stay_finite",
    "masked_rows_give_zero",
    "masks_propagate",
    "no_keys_are_hidden_keys",
    "packed_rows_attend_across",
    "packed_rows_equal_segments",
    "padding_is_inert",
    "parts_equal_one_call",
    "projected_equals_one_call",
    "projected_has_the_stated_shapes",
    "ragged_rows_equal_each_alone",
    "refuses_bad_call",
    "refuses_bad_options",
    "refuses_bad_projected",
    "refuses_bad_streams",
    "refuses_causal_calls",
    "refuses_packed_rows",
    "refuses_projected",
    "refuses_states",
    "reversed_input_gives_reversed_output",
    "saves_and_loads",
    "second_derivatives_equal_reference",
    "small_tokens",
    "states_carry_gradients",
    "states_have_the_stated_shapes",
    "states_stop_gradients",
    "steps_equal_one_call",
    "symbolic_equals_eager",
    "takes_nested_lists",
    "timestamps_keep_their_precision",
]
