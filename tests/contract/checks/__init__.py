"""What every attention layer promises, one module per promise.

Each check takes a case (a layer class, its options, its float64 loop) and raises an
AssertionError if the promise is broken. `test_contract.py` runs them on every layer,
`catches` on layers broken on purpose.
"""

from tests.contract.checks.bad_input import BAD_OPTIONS
from tests.contract.checks.bad_input import bad_calls
from tests.contract.checks.bad_input import refuses_bad_call
from tests.contract.checks.bad_input import refuses_bad_options
from tests.contract.checks.causality import future_leaves_past
from tests.contract.checks.curvature import second_derivatives_equal_reference
from tests.contract.checks.dropout import dropout_drops_whole_weights
from tests.contract.checks.dropout import dropout_has_its_own_gradient
from tests.contract.checks.dropout import dropout_is_sound
from tests.contract.checks.empty_axes import empty_axes_are_answered
from tests.contract.checks.empty_axes import empty_chunks_leave_states
from tests.contract.checks.empty_axes import no_keys_are_hidden_keys
from tests.contract.checks.extreme_numbers import coincident_points_stay_exact
from tests.contract.checks.extreme_numbers import features_of_any_size_count
from tests.contract.checks.extreme_numbers import large_logits_stay_finite
from tests.contract.checks.float64 import float64_is_taken
from tests.contract.checks.forms import folds_axes
from tests.contract.checks.forms import takes_nested_lists
from tests.contract.checks.keras_conventions import fits_at_unknown_length
from tests.contract.checks.keras_conventions import masks_propagate
from tests.contract.checks.keras_conventions import symbolic_equals_eager
from tests.contract.checks.masked_rows import masked_rows_give_zero
from tests.contract.checks.padding import padding_is_inert
from tests.contract.checks.precision import half_precision_does_not_overflow
from tests.contract.checks.precision import half_precision_is_close
from tests.contract.checks.precision import timestamps_keep_their_precision
from tests.contract.checks.projected import projected_equals_one_call
from tests.contract.checks.projected import projected_has_the_stated_shapes
from tests.contract.checks.projected import refuses_bad_projected
from tests.contract.checks.projected import refuses_projected
from tests.contract.checks.ragged import ragged_rows_equal_each_alone
from tests.contract.checks.reference import equals_reference
from tests.contract.checks.reference import equals_reference_at_length
from tests.contract.checks.reference import equals_reference_in
from tests.contract.checks.reference import gradients_equal_reference
from tests.contract.checks.serialization import config_round_trips
from tests.contract.checks.serialization import saves_and_loads
from tests.contract.checks.shared import small_tokens
from tests.contract.checks.streaming import parts_equal_one_call
from tests.contract.checks.streaming import refuses_bad_streams
from tests.contract.checks.streaming import refuses_states
from tests.contract.checks.streaming import states_carry_gradients
from tests.contract.checks.streaming import states_have_the_stated_shapes
from tests.contract.checks.streaming import states_stop_gradients
from tests.contract.checks.streaming import steps_equal_one_call
from tests.contract.harness import assert_close

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
    "padding_is_inert",
    "parts_equal_one_call",
    "projected_equals_one_call",
    "projected_has_the_stated_shapes",
    "ragged_rows_equal_each_alone",
    "refuses_bad_call",
    "refuses_bad_options",
    "refuses_bad_projected",
    "refuses_bad_streams",
    "refuses_projected",
    "refuses_states",
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
