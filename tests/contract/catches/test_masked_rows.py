"""The check of masked rows fails on rows that are not 0."""

import pytest

from keras_twa.testing import checks
from tests.contract.catches.faults import AveragesMaskedRows
from tests.contract.catches.faults import IgnoresQueryMask
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


@pytest.mark.parametrize("layer", [AveragesMaskedRows, IgnoresQueryMask])
def test_masked_rows(layer):
    assert rejects(checks.masked_rows_give_zero, layer)
