"""The check of causality fails on a leak in values or gradients."""

import pytest

from keras_twa.testing import checks
from tests.contract.catches.faults import HasAWrongInputGradient
from tests.contract.catches.faults import LeaksTheFuture
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


def test_causality():
    assert rejects(checks.future_leaves_past, LeaksTheFuture)


def test_causality_of_gradients():
    assert rejects(checks.future_leaves_past, HasAWrongInputGradient)
