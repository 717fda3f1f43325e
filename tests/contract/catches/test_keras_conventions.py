"""The checks of Keras's conventions fail on layers that break them."""

import keras
import pytest
from keras import ops

from keras_twa.testing import checks
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class FreezesTheProjection(Broken):
    def before(self, arguments):
        arguments["query"] = ops.multiply(arguments["query"], 0.0)


class StatesAWrongShape(Broken):
    def compute_output_spec(self, *arguments, **options):
        """State a length that is too large by 1."""
        spec = super().compute_output_spec(*arguments, **options)
        first = spec[0] if isinstance(spec, (tuple, list)) else spec
        shape = (first.shape[0], 1, first.shape[2])
        wrong = keras.KerasTensor(shape, dtype=first.dtype)
        return (wrong, *spec[1:]) if isinstance(spec, (tuple, list)) else wrong


class ForgetsTheScores(Broken):
    def compute_output_spec(self, *arguments, **options):
        """Always state a single tensor."""
        spec = super().compute_output_spec(*arguments, **options)
        return spec[0] if isinstance(spec, (tuple, list)) else spec


class SwallowsTheMask(Broken):
    def compute_mask(self, *arguments, **options):
        """Return no mask."""


class LosesTheRidingMask(Broken):
    def __call__(self, query, value, **options):
        """Call with tensors that no longer carry a mask."""
        return super().__call__(ops.add(query, 0.0), ops.add(value, 0.0), **options)


def test_fit():
    assert rejects(checks.fits_at_unknown_length, FreezesTheProjection)


@pytest.mark.parametrize("layer", [StatesAWrongShape, ForgetsTheScores])
def test_symbolic(layer):
    assert rejects(checks.symbolic_equals_eager, layer)


@pytest.mark.parametrize("layer", [SwallowsTheMask, LosesTheRidingMask])
def test_mask_propagation(layer):
    assert rejects(checks.masks_propagate, layer)
