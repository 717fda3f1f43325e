"""The checks of lists and axes fail on layers that misread them."""

import numpy as np
import pytest

from keras_twa.testing import checks
from tests.contract.catches.faults import DOT
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class ForgetsLists(Broken):
    """Ignores a mask that is a list."""

    def __call__(self, query, *args, **kwargs):
        kept = {k: x for k, x in kwargs.items() if not (k in MASKS and is_list(x))}
        return super().__call__(query, *args, **kept)


class TurnsPairsAround(Broken):
    """Reads a mask of two axes as (keys, queries)."""

    def __call__(self, query, *args, attention_mask=None, **kwargs):
        if np.ndim(attention_mask) == 2:
            attention_mask = np.rot90(attention_mask, 2)
        return super().__call__(query, *args, attention_mask=attention_mask, **kwargs)


class AttendsToAllAxes(Broken):
    """Treats the axes that are not attended over as additional steps."""

    def __init__(self, *args, attention_axes=None, **kwargs):
        super().__init__(*args, **kwargs)


MASKS = ("query_mask", "value_mask", "key_mask", "attention_mask")


def is_list(x):
    """Whether an argument is a list."""
    return isinstance(x, list)


def test_nested_lists():
    checks.takes_nested_lists(DOT)
    assert rejects(checks.takes_nested_lists, ForgetsLists)
    assert rejects(checks.takes_nested_lists, TurnsPairsAround)


def test_axes():
    checks.folds_axes(DOT)
    assert rejects(checks.folds_axes, AttendsToAllAxes)
