"""The checks against the float64 loop fail on wrong values and gradients."""

import numpy as np
import pytest
from keras import ops

from keras_twa.testing import checks
from keras_twa.testing import scenarios
from tests.contract.catches.faults import DOT
from tests.contract.catches.faults import AveragesMaskedRows
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import HasAWrongInputGradient
from tests.contract.catches.faults import IgnoresKeyMask
from tests.contract.catches.faults import IgnoresQueryMask
from tests.contract.catches.faults import LeaksTheFuture
from tests.contract.catches.faults import ReadsPadding
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class AlignsCausalMaskTopLeft(Broken):
    def before(self, arguments):
        if arguments["use_causal_mask"]:
            shape = (1, arguments["query"].shape[1], arguments["value"].shape[1])
            lower = np.tril(np.ones(shape, bool))
            pairs = arguments["attention_mask"]
            pairs = lower if pairs is None else ops.logical_and(pairs, lower)
            arguments.update(use_causal_mask=False, attention_mask=pairs)


class IgnoresPairs(Broken):
    def before(self, arguments):
        arguments["attention_mask"] = None


class InvertsPairs(Broken):
    def before(self, arguments):
        if arguments["attention_mask"] is not None:
            arguments["attention_mask"] = ops.logical_not(arguments["attention_mask"])


class StopsAWeightGradient(Broken):
    def before(self, arguments):
        arguments["query"] = ops.stop_gradient(arguments["query"])


class GivesScaledScores(Broken):
    def call(self, *arguments, return_attention_scores=False, **options):
        """Return the scores twice as large."""
        options["return_attention_scores"] = return_attention_scores
        result = super().call(*arguments, **options)
        if return_attention_scores:
            return result[0], ops.multiply(result[1], 2.0)
        return result


class IsSlightlyOff(Broken):
    def after(self, result, arguments):
        return ops.multiply(result, 1.01)


class FailsAtLengthOne(Broken):
    def after(self, result, arguments):
        return ops.multiply(result, 1.0 if arguments["query"].shape[1] > 1 else 2.0)


def in_scenario(name):
    """Return the scenario `name`."""
    return scenarios.scenarios(DOT)[name]


@pytest.mark.parametrize(
    ("layer", "scenario"),
    [
        (IsSlightlyOff, "cross"),
        (GivesScaledScores, "cross"),
        (LeaksTheFuture, "causal"),
        (AlignsCausalMaskTopLeft, "causal, more keys"),
        (ReadsPadding, "padded"),
        (IgnoresKeyMask, "key mask"),
        (IgnoresKeyMask, "both masks"),
        (IgnoresQueryMask, "padded"),
        (IgnoresPairs, "pairs"),
        (InvertsPairs, "pairs per head"),
        (AveragesMaskedRows, "empty batch element"),
    ],
)
def test_values(layer, scenario):
    assert rejects(checks.equals_reference, layer, in_scenario(scenario))


def test_values_at_length():
    assert rejects(checks.equals_reference_at_length, FailsAtLengthOne, 1, 5)


@pytest.mark.parametrize("layer", [HasAWrongInputGradient, StopsAWeightGradient])
def test_gradients(layer):
    assert rejects(checks.gradients_equal_reference, layer)
