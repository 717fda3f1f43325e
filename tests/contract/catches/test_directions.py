"""The checks of directions fail on layers that confuse them."""

import pytest
from keras import ops

from keras_twa.layers import GatedDeltaAttention
from keras_twa.testing import checks
from tests.contract.recurrent_cases import DIRECTED

pytestmark = [pytest.mark.full, pytest.mark.once]

BOTH = next(case for case in DIRECTED if case.layer is GatedDeltaAttention)


class StaysReversed(GatedDeltaAttention):
    """Returns the outputs of all heads in reverse order."""

    def project_and_mix(self, *arguments):
        """Mix, and reverse the outputs."""
        outputs, *rest = super().project_and_mix(*arguments)
        if self.direction != "forward":
            outputs = ops.flip(outputs, axis=1)
        return outputs, *rest


class CountsPadding(GatedDeltaAttention):
    """Reverses rows as if padding were real."""

    def _read_in_halves(self, inputs, mask, state):
        """Read as if there were no padding."""
        return super()._read_in_halves(inputs, type(mask)(True), state)


class IsCausal(GatedDeltaAttention):
    """Accepts a causal mask in any direction."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.causality = "always"


@pytest.mark.parametrize("layer", [StaysReversed, CountsPadding])
def test_reversed_inputs(layer):
    with pytest.raises(AssertionError, match="heads that run"):
        checks.reversed_input_gives_reversed_output(BOTH.with_layer(layer))


def test_causal_calls():
    with pytest.raises(AssertionError, match="a causal mask: nothing was raised"):
        checks.refuses_causal_calls(BOTH.with_layer(IsCausal))
