"""The check of second derivatives fails if only first derivatives are right."""

import pytest
from keras import ops

from keras_twa.testing import checks
from tests.contract.catches.faults import DOT
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class BendsTooMuch(Broken):
    """Adds a term that is zero, as is its gradient, but not its second derivative."""

    def after(self, result, arguments):
        x = arguments["value"]
        off = ops.subtract(x, ops.stop_gradient(x))
        return ops.add(result, ops.sum(ops.square(off), axis=(1, 2), keepdims=True))


class ForgetsHowItBends(Broken):
    """Has the right gradient, but it no longer depends on one of the inputs."""

    def after(self, result, arguments):
        x = arguments["value"]
        off = ops.subtract(x, ops.stop_gradient(x))
        bend = ops.sum(ops.square(off), axis=(1, 2), keepdims=True)
        return ops.subtract(result, ops.multiply(bend, ops.stop_gradient(result)))


def test_first_derivatives_notice_nothing():
    for layer in (BendsTooMuch, ForgetsHowItBends):
        checks.gradients_equal_reference(DOT.with_layer(layer))


def test_second_derivatives():
    checks.second_derivatives_equal_reference(DOT)
    for layer in (BendsTooMuch, ForgetsHowItBends):
        assert rejects(checks.second_derivatives_equal_reference, layer)
