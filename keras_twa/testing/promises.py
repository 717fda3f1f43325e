"""The checks by name, and the layers that each applies to."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_twa.testing import checks
from keras_twa.testing import scenarios
from keras_twa.testing.case import Case


@dataclasses.dataclass(frozen=True)
class Promise:
    """One check, and the layers that it applies to.

    Args:
        check: Takes a `Case`; raises an `AssertionError` if the check fails.
        applies: Takes a `Case`; returns whether its layer promises this.
    """

    check: Callable[[Case], None]
    applies: Callable[[Case], bool] = lambda case: True


def _has_reference(case):
    return case.loop is not None


def _has_pairs(case):
    return case.has_pairs


def _times_pairs(case):
    return case.has_pairs and case.loop is not None


def _attends_across(case):
    return case.facts.cross_attention


def _attends_to_itself_only(case):
    return not case.facts.cross_attention


def _has_states(case):
    return case.facts.prefix_invariant


def _has_no_states(case):
    return not case.facts.prefix_invariant


def _packs(case):
    return case.layer.packs


def _has_no_packed_rows(case):
    return not case.layer.packs


def _has_smooth_states(case):
    return case.facts.prefix_invariant and case.layer.state_gradient


def _has_cut_states(case):
    return case.facts.prefix_invariant and not case.layer.state_gradient


def _can_be_causal(case):
    return case.facts.causality != "never"


def _runs_backward(case):
    return getattr(case.facts, "direction", "forward") != "forward"


def _in_tiles(check):
    """The same check, with tiny tiles and chunks in the kernels."""

    def in_tiles(case):
        with scenarios.route("tiled"):
            check(case)

    return in_tiles


def _equals_reference(case):
    checks.equals_reference_in(case, scenarios.scenarios(case))


def _equals_reference_at_length(case):
    for lengths in ((1, 1), (1, 5), (5, 1), (13, 11)):
        checks.equals_reference_at_length(case, *lengths)


def _padding_is_inert(case):
    checks.padding_is_inert(case, np.nan)


def _padding_in_front_is_inert(case):
    checks.padding_is_inert(case, np.nan, causal=True)


def _packed_rows_equal_segments(case):
    for poison in (None, np.nan):
        checks.packed_rows_equal_segments(case, poison)


def _packed_rows_attend_across(case):
    for poison in (None, np.nan):
        checks.packed_rows_attend_across(case, poison)


def _half_precision_is_close(case):
    for dtype in ("mixed_float16", "mixed_bfloat16"):
        checks.half_precision_is_close(case, dtype)


def _saves_and_loads(case):
    with tempfile.TemporaryDirectory() as folder:
        checks.saves_and_loads(case, Path(folder))


def _fits_at_unknown_length(case):
    for causal in (False, True)[: 1 + _can_be_causal(case)]:
        checks.fits_at_unknown_length(case, causal)


def _refuses_bad_options(case):
    for options in checks.BAD_OPTIONS.values():
        checks.refuses_bad_options(case, options)


def _refuses_bad_calls(case):
    for name, call in checks.bad_calls(case).items():
        checks.refuses_bad_call(case, call, name)


# By the name of the check. Quick checks that often fail come first.
PROMISES = {
    "refuses_bad_options": Promise(_refuses_bad_options),
    "refuses_bad_calls": Promise(_refuses_bad_calls),
    "config_round_trips": Promise(checks.config_round_trips),
    "symbolic_equals_eager": Promise(checks.symbolic_equals_eager),
    "equals_reference": Promise(_equals_reference, _has_reference),
    "equals_reference_in_tiles": Promise(_in_tiles(_equals_reference), _has_reference),
    "equals_reference_at_length": Promise(_equals_reference_at_length, _has_reference),
    "future_leaves_past": Promise(checks.future_leaves_past, _can_be_causal),
    "future_leaves_past_in_tiles": Promise(
        _in_tiles(checks.future_leaves_past), _can_be_causal
    ),
    "reversed_input_gives_reversed_output": Promise(
        checks.reversed_input_gives_reversed_output, _runs_backward
    ),
    "refuses_causal_calls": Promise(checks.refuses_causal_calls, _runs_backward),
    "padding_is_inert": Promise(_padding_is_inert),
    "padding_is_inert_in_tiles": Promise(_in_tiles(_padding_is_inert)),
    "padding_in_front_is_inert": Promise(_padding_in_front_is_inert),
    "masked_rows_give_zero": Promise(checks.masked_rows_give_zero),
    "masked_rows_give_zero_in_tiles": Promise(_in_tiles(checks.masked_rows_give_zero)),
    "gradients_equal_reference": Promise(
        checks.gradients_equal_reference, _has_reference
    ),
    "gradients_equal_reference_in_tiles": Promise(
        _in_tiles(checks.gradients_equal_reference), _has_reference
    ),
    "second_derivatives_equal_reference": Promise(
        checks.second_derivatives_equal_reference, _has_reference
    ),
    "large_logits_stay_finite": Promise(checks.large_logits_stay_finite),
    "coincident_points_stay_exact": Promise(checks.coincident_points_stay_exact),
    "empty_axes_are_answered": Promise(checks.empty_axes_are_answered),
    "no_keys_are_hidden_keys": Promise(checks.no_keys_are_hidden_keys, _attends_across),
    "half_precision_is_close": Promise(_half_precision_is_close),
    "half_precision_does_not_overflow": Promise(
        checks.half_precision_does_not_overflow
    ),
    "float64_is_taken": Promise(checks.float64_is_taken),
    "timestamps_keep_their_precision": Promise(
        checks.timestamps_keep_their_precision, _times_pairs
    ),
    "dropout_is_sound": Promise(checks.dropout_is_sound, _has_pairs),
    "dropout_has_its_own_gradient": Promise(
        checks.dropout_has_its_own_gradient, _has_pairs
    ),
    "parts_equal_one_call": Promise(checks.parts_equal_one_call, _has_states),
    "steps_equal_one_call": Promise(checks.steps_equal_one_call, _has_states),
    "empty_chunks_leave_states": Promise(checks.empty_chunks_leave_states, _has_states),
    "packed_rows_equal_segments": Promise(_packed_rows_equal_segments, _packs),
    "packed_rows_equal_segments_in_tiles": Promise(
        _in_tiles(_packed_rows_equal_segments), _packs
    ),
    "packed_rows_attend_across": Promise(
        _packed_rows_attend_across, lambda case: _packs(case) and _attends_across(case)
    ),
    "refuses_packed_rows": Promise(checks.refuses_packed_rows, _has_no_packed_rows),
    "ragged_rows_equal_each_alone": Promise(checks.ragged_rows_equal_each_alone),
    "states_carry_gradients": Promise(
        checks.states_carry_gradients, _has_smooth_states
    ),
    "states_stop_gradients": Promise(checks.states_stop_gradients, _has_cut_states),
    "states_have_the_stated_shapes": Promise(
        checks.states_have_the_stated_shapes, _has_states
    ),
    "refuses_bad_streams": Promise(checks.refuses_bad_streams, _has_states),
    "refuses_states": Promise(checks.refuses_states, _has_no_states),
    "projected_equals_one_call": Promise(
        checks.projected_equals_one_call, _attends_across
    ),
    "projected_has_the_stated_shapes": Promise(
        checks.projected_has_the_stated_shapes, _attends_across
    ),
    "refuses_bad_projected": Promise(checks.refuses_bad_projected, _attends_across),
    "refuses_projected": Promise(checks.refuses_projected, _attends_to_itself_only),
    "saves_and_loads": Promise(_saves_and_loads),
    "fits_at_unknown_length": Promise(_fits_at_unknown_length),
    "masks_propagate": Promise(checks.masks_propagate),
    "takes_nested_lists": Promise(checks.takes_nested_lists),
    "folds_axes": Promise(checks.folds_axes),
}
