"""Every promise, for every layer, on the running backend."""

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import checks
from keras_twa.testing import scenarios
from keras_twa.testing.scenarios import ROUTES
from tests.contract.cases import ALL
from tests.contract.cases import DIRECTED
from tests.contract.cases import EACH
from tests.contract.cases import FORKS
from tests.contract.cases import OPTIONS
from tests.contract.cases import OTHER_DIRECTED
from tests.contract.cases import OTHER_RECURRENT
from tests.contract.cases import PLAIN
from tests.contract.cases import WITH_CROSS
from tests.contract.cases import WITH_FEATURES
from tests.contract.cases import WITH_PAIRS
from tests.contract.cases import WITH_STATES
from tests.contract.cases import WITHOUT_CROSS
from tests.contract.cases import WITHOUT_STATES
from tests.contract.marks import full
from tests.contract.marks import on
from tests.contract.marks import on_each
from tests.contract.marks import seldom

# Option sets, for checks that mostly repeat another one. JAX and TensorFlow run these
# with `-m slow`.
SELDOM = seldom(FORKS)
CAUSAL = seldom([case for case in FORKS if case.facts.causality != "never"])

by_route = pytest.mark.parametrize(
    "route", [ROUTES[0], *(pytest.param(route, marks=full) for route in ROUTES[1:])]
)


def test_every_layer_has_a_plain_case():
    assert tuple(case.layer for case in PLAIN) == tuple(layers.ATTENTION_LAYERS)


@on_each([*PLAIN, *FORKS])
def test_equals_reference(case):
    checks.equals_reference_in(case, scenarios.scenarios(case))


@on(OPTIONS)
def test_equals_reference_with_options(case):
    calls = scenarios.scenarios(case)
    names = {"cross", "timestamps", "padded causal", "everything"}
    if case.facts.causality == "never":
        names |= {*scenarios.never_causal()}
    names &= {*calls}
    chosen = {name: calls[name] for name in names}
    checks.equals_reference_in(case, chosen)


@full
@on([*PLAIN, *SELDOM])
def test_equals_reference_in_tiles(case):
    calls = scenarios.scenarios(case)
    names = {"everything", "padded causal", "pairs per head", "causal, more keys"}
    with scenarios.route("tiled"):
        checks.equals_reference_in(
            case, {name: calls[name] for name in names & {*calls}}
        )


@full
@on(PLAIN)
@pytest.mark.parametrize("tile_elements", [1, 36])
def test_equals_reference_at_any_tile_size(case, tile_elements):
    with scenarios.route("tiled", tile_elements):
        checks.equals_reference(case, scenarios.everything_for(case))


@on(EACH)
@pytest.mark.parametrize(
    ("route", "lengths"),
    [
        ("default", (1, 1)),
        pytest.param("default", (13, 11), marks=full),
        pytest.param("tiled", (1, 5), marks=full),
        pytest.param("tiled", (5, 1), marks=full),
        ("tiled", (13, 11)),
    ],
)
def test_equals_reference_at_length(case, route, lengths):
    with scenarios.route(route):
        checks.equals_reference_at_length(case, *lengths)


@full
@on(PLAIN)
@pytest.mark.parametrize(("length", "route"), [(2, "tiled"), (6, "default")])
def test_equals_reference_where_axes_have_equal_lengths(case, length, route):
    # As many steps as heads, features, or queries per tile: only here can an operation
    # that guesses an axis by its length go wrong.
    with scenarios.route(route, length**2):
        checks.equals_reference_at_length(case, length, length)


@on([*PLAIN, *FORKS, *seldom(OPTIONS)])
def test_gradients_equal_reference(case):
    checks.gradients_equal_reference(case)


@full
@on([*PLAIN, *SELDOM])
def test_gradients_equal_reference_in_tiles(case):
    with scenarios.route("tiled"):
        checks.gradients_equal_reference(case)


@full
@on(PLAIN)
@pytest.mark.parametrize("scenario", ["self", "padded causal", "pairs causal"])
def test_gradients_equal_reference_in_scenario(case, scenario):
    call = scenarios.scenarios(case).get(scenario)
    checks.gradients_equal_reference(case, call)


# PyTorch uses hand-written gradients. The others derive them, so one way is enough.
WAYS = [("default", False), *seldom([("tiled", False), ("default", True)])]
WAYS += seldom([("tiled", True)])


@on([*PLAIN, *SELDOM])
@pytest.mark.parametrize(("route", "causal"), WAYS)
def test_second_derivatives_equal_reference(case, route, causal):
    causal = causal and case.facts.causality != "never"
    call = {**scenarios.everything_for(case), "use_causal_mask": causal}
    with scenarios.route(route):
        checks.second_derivatives_equal_reference(case, call)


@on([*PLAIN, *CAUSAL])
@by_route
def test_future_leaves_past(case, route):
    with scenarios.route(route):
        checks.future_leaves_past(case)


@on([*PLAIN, *FORKS])
def test_padding_is_inert(case):
    checks.padding_is_inert(case, np.nan)


@full
@on(PLAIN)
@pytest.mark.parametrize("poison", [1e9, np.inf])
def test_padding_is_inert_whatever_it_holds(case, poison):
    checks.padding_is_inert(case, poison)


@full
@on(EACH)
def test_padding_is_inert_in_tiles(case):
    with scenarios.route("tiled"):
        checks.padding_is_inert(case, np.nan)


@full
@on(EACH)
def test_padding_in_front_is_inert_under_a_causal_mask(case):
    checks.padding_is_inert(case, np.nan, causal=True)


@on([*PLAIN, *SELDOM])
@by_route
def test_masked_rows_give_zero(case, route):
    with scenarios.route(route):
        checks.masked_rows_give_zero(case)


@on([*PLAIN, *SELDOM])
def test_large_logits_stay_finite(case):
    checks.large_logits_stay_finite(case)


@on([*WITH_FEATURES, *PLAIN[:1]])
@by_route
def test_features_of_any_size_count(case, route):
    with scenarios.route(route):
        checks.features_of_any_size_count(case)


@on([*PLAIN, *SELDOM])
def test_empty_axes_are_answered(case):
    checks.empty_axes_are_answered(case)


@on(WITH_CROSS)
def test_no_keys_are_hidden_keys(case):
    checks.no_keys_are_hidden_keys(case)


@on(WITH_STATES)
def test_empty_chunks_leave_states(case):
    checks.empty_chunks_leave_states(case)


@on([*PLAIN, *SELDOM])
def test_coincident_points_stay_exact(case):
    checks.coincident_points_stay_exact(case)


@on([*PLAIN, *SELDOM])
@pytest.mark.parametrize(
    "dtype", [pytest.param("mixed_float16", marks=full), "mixed_bfloat16"]
)
def test_half_precision_is_close(case, dtype):
    checks.half_precision_is_close(case, dtype)


@full
@on(PLAIN)
def test_half_precision_is_close_in_tiles(case):
    with scenarios.route("tiled"):
        checks.half_precision_is_close(case, "mixed_bfloat16")


@on([*PLAIN, *SELDOM])
def test_float64_is_taken(case):
    checks.float64_is_taken(case)


@full
@on(PLAIN)
@by_route
def test_half_precision_does_not_overflow(case, route):
    with scenarios.route(route):
        checks.half_precision_does_not_overflow(case)


@on([*WITH_PAIRS, *(case for case in FORKS if case.has_pairs)])
def test_timestamps_keep_their_precision(case):
    checks.timestamps_keep_their_precision(case)


@on(WITH_PAIRS)
def test_dropout_is_sound(case):
    with scenarios.route("tiled", tile_elements=20_000):
        checks.dropout_is_sound(case)


# Not with a decoder, a norm or latent values, nor if values cannot come from another
# sequence.
@on(
    [
        case
        for case in WITH_PAIRS
        if case.facts.cross_attention
        and not case.id.endswith(("multi_timescale", "differential", "latent"))
    ]
)
def test_dropout_drops_whole_weights(case):
    with scenarios.route("tiled", tile_elements=200):
        checks.dropout_drops_whole_weights(case)


@on(WITH_PAIRS)
def test_dropout_has_its_own_gradient(case):
    with scenarios.route("tiled"):
        checks.dropout_has_its_own_gradient(case)


@on([*WITH_STATES, *CAUSAL, *seldom(OTHER_RECURRENT)])
def test_parts_equal_one_call(case):
    checks.parts_equal_one_call(case)


@on([*PLAIN, *SELDOM, *seldom([*OTHER_RECURRENT, *OTHER_DIRECTED])])
def test_ragged_rows_equal_each_alone(case):
    checks.ragged_rows_equal_each_alone(case)


@on(WITH_STATES)
def test_steps_equal_one_call(case):
    checks.steps_equal_one_call(case)


@on([case for case in WITH_STATES if case.layer.state_gradient])
def test_states_carry_gradients(case):
    checks.states_carry_gradients(case)


@on([case for case in WITH_STATES if not case.layer.state_gradient])
def test_states_stop_gradients(case):
    checks.states_stop_gradients(case)


@on(WITH_STATES)
def test_states_have_the_stated_shapes(case):
    checks.states_have_the_stated_shapes(case)


@on(WITH_STATES)
def test_refuses_bad_streams(case):
    checks.refuses_bad_streams(case)


@on([*WITHOUT_STATES, *DIRECTED])
def test_refuses_states(case):
    checks.refuses_states(case)


@on(WITH_CROSS)
def test_projected_equals_one_call(case):
    checks.projected_equals_one_call(case)


@on(WITH_CROSS)
def test_projected_has_the_stated_shapes(case):
    checks.projected_has_the_stated_shapes(case)


@on(WITH_CROSS)
def test_refuses_bad_projected(case):
    checks.refuses_bad_projected(case)


@on(WITHOUT_CROSS)
def test_refuses_projected(case):
    checks.refuses_projected(case)


@on([*DIRECTED, *seldom(OTHER_DIRECTED)])
def test_reversed_input_gives_reversed_output(case):
    checks.reversed_input_gives_reversed_output(case)


@on([*DIRECTED, *seldom(OTHER_DIRECTED)])
def test_gradients_equal_reference_with_padding_between(case):
    # Steps are moved within the rows, in one call of the kernel.
    call = scenarios.never_causal()["padding between"]
    checks.gradients_equal_reference(case, call)
    checks.second_derivatives_equal_reference(case, call)


@on([*DIRECTED, *OTHER_DIRECTED])
def test_refuses_causal_calls(case):
    checks.refuses_causal_calls(case)


@on(ALL)
def test_config_round_trips(case):
    checks.config_round_trips(case)


@on(ALL)
def test_saves_and_loads(case, tmp_path):
    checks.saves_and_loads(case, tmp_path)


@on(DIRECTED)
def test_directions_fit_at_unknown_length(case):
    checks.fits_at_unknown_length(case)


@on(EACH)
@pytest.mark.parametrize("causal", [False, True])
def test_fits_at_unknown_length(case, causal):
    checks.fits_at_unknown_length(case, causal)


@on([*EACH, *DIRECTED])
def test_symbolic_equals_eager(case):
    checks.symbolic_equals_eager(case)


@on([*PLAIN, *FORKS])
def test_masks_propagate(case):
    checks.masks_propagate(case)


@on(PLAIN)
@pytest.mark.parametrize("name", checks.BAD_OPTIONS)
def test_refuses_bad_options(case, name):
    checks.refuses_bad_options(case, checks.BAD_OPTIONS[name])


@on(PLAIN)
def test_refuses_bad_calls(case):
    for name, call in checks.bad_calls(case).items():
        checks.refuses_bad_call(case, call, name)


@on(PLAIN)
def test_takes_nested_lists(case):
    checks.takes_nested_lists(case)


@on(PLAIN)
def test_folds_axes(case):
    checks.folds_axes(case)
