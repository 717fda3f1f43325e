"""`check_attention` runs all checks that apply, and names the one that fails."""

import re

import keras
import pytest

from keras_twa import layers
from keras_twa.testing import check_attention
from keras_twa.testing import checks
from keras_twa.testing.promises import PROMISES
from tests import references
from tests.contract.catches import faults
from tests.contract.catches.test_reference import IsSlightlyOff

# Checks of the package's own layers that need to know more than the facts.
OF_SOME_LAYERS = {"dropout_drops_whole_weights", "features_of_any_size_count"}
HELPERS = {"assert_close", "small_tokens", "BAD_OPTIONS", "bad_calls"}


class ForgetsAnArgument(layers.DotProductAttention):
    def get_config(self):
        config = super().get_config()
        del config["dropout"]
        return config


class Crashes(faults.Broken):
    def before(self, arguments):
        raise TypeError("no such thing")


def small_windows(**options):
    return layers.LocalAttention(**{"window": 2, **options})


def test_every_check_is_run():
    stems = {re.sub("_in_tiles$|_at_length$", "", name) for name in PROMISES}
    named = {*checks.__all__} - OF_SOME_LAYERS - HELPERS
    names = {"refuses_bad_calls": "refuses_bad_call"}
    names["padding_in_front_is_inert"] = "padding_is_inert"
    assert named - {"equals_reference_in", "equals_reference_at_length"} == {
        names.get(stem, stem) for stem in stems
    }


@pytest.mark.full
def test_a_layer_keeps_all_promises_that_apply():
    ran = check_attention(small_windows)
    assert {"parts_equal_one_call", "refuses_projected", "dropout_is_sound"} <= {*ran}
    left_out = {"equals_reference", "no_keys_are_hidden_keys", "refuses_states"}
    assert left_out <= {*PROMISES} - {*ran}


def test_a_layer_equals_its_reference():
    names = ["equals_reference", "gradients_equal_reference_in_tiles"]
    assert check_attention(
        layers.DotProductAttention, references.dot_product, checks=names
    ) == (*names,)


@pytest.mark.parametrize(
    ("layer", "reference", "name"),
    [
        (faults.LeaksTheFuture, None, "future_leaves_past"),
        (faults.ReadsPadding, None, "padding_is_inert"),
        (faults.AveragesMaskedRows, None, "masked_rows_give_zero"),
        (IsSlightlyOff, references.dot_product, "equals_reference"),
        (ForgetsAnArgument, None, "config_round_trips"),
    ],
)
def test_a_broken_layer_fails_by_name(layer, reference, name):
    with pytest.raises(AssertionError, match=f"^{name}: "):
        check_attention(layer, reference, checks=[name])


def test_the_first_check_that_fails_is_named():
    with pytest.raises(AssertionError, match=r"^refuses_bad_calls: .*TypeError"):
        check_attention(Crashes)


def test_any_other_error_is_a_failure():
    with pytest.raises(AssertionError, match=r"(?s)^folds_axes: TypeError:.*no such"):
        check_attention(Crashes, checks=["folds_axes"])


class NeverCausal(layers.DotProductAttention):
    causality = "never"


@pytest.mark.parametrize("factory", [keras.layers.MultiHeadAttention, NeverCausal])
def test_other_layers_are_refused(factory):
    with pytest.raises(ValueError, match="Received: factory="):
        check_attention(factory)


@pytest.mark.full
def test_a_layer_that_runs_backward_keeps_its_own_promises():
    def factory(**options):
        return layers.GatedDeltaAttention(**{"direction": "both", **options})

    ran = check_attention(factory)
    assert {"refuses_causal_calls", "reversed_input_gives_reversed_output"} <= {*ran}
    assert not {"future_leaves_past", "parts_equal_one_call"} & {*ran}


def test_unknown_checks_are_refused():
    with pytest.raises(ValueError, match=r"'padding_is_inert'.*Received: 'padding_"):
        check_attention(small_windows, checks=["padding_inert"])
