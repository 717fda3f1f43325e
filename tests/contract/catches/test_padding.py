"""The check of padding fails on a layer whose output depends on it."""

import numpy as np
import pytest
from keras import ops

from keras_twa.testing import checks
from tests.contract.catches.faults import DOT
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import IgnoresKeyMask
from tests.contract.catches.faults import ReadsPadding
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class LetsPaddingInByZeroTimesIt(Broken):
    """Hides a masked value by multiplying with 0, which keeps Inf and NaN."""

    def after(self, result, arguments):
        mask, value = arguments["value_mask"], arguments["value"]
        if mask is None:
            mask = arguments["key_mask"]
        if mask is None:
            return result
        seen = ops.multiply(value, ops.cast(ops.expand_dims(mask, -1), value.dtype))
        nothing = ops.sum(seen, axis=(1, 2), keepdims=True)
        return ops.add(result, ops.subtract(nothing, nothing))


@pytest.mark.parametrize("layer", [ReadsPadding, IgnoresKeyMask])
def test_padding(layer):
    assert rejects(checks.padding_is_inert, layer, 1e9)


@pytest.mark.parametrize("poison", [np.inf, np.nan])
def test_poisonous_padding(poison):
    checks.padding_is_inert(DOT, poison)
    assert rejects(checks.padding_is_inert, LetsPaddingInByZeroTimesIt, poison)
