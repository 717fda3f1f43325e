"""A packed row equals its segments alone, for every layer."""

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.testing import checks
from keras_twa.testing import scenarios
from keras_twa.testing.scenarios import ROUTES
from tests.contract.cases import EACH
from tests.contract.cases import FORKS
from tests.contract.cases import WITH_CROSS
from tests.contract.marks import full
from tests.contract.marks import on
from tests.contract.marks import seldom

SELDOM = seldom(FORKS)
by_route = pytest.mark.parametrize(
    "route", [ROUTES[0], *(pytest.param(route, marks=full) for route in ROUTES[1:])]
)


def test_every_mechanism_packs():
    assert [layer for layer in layers.ATTENTION_LAYERS if not layer.packs] == []


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(None, marks=full),
        np.nan,
        pytest.param(np.inf, marks=pytest.mark.slow),
    ],
)
@by_route
@on([*EACH, *SELDOM])
def test_packed_rows_equal_segments(case, route, poison):
    with scenarios.route(route):
        checks.packed_rows_equal_segments(case, poison)


@full
@pytest.mark.parametrize("poison", [None, np.nan])
@on(WITH_CROSS)
def test_packed_rows_attend_across(case, poison):
    checks.packed_rows_attend_across(case, poison)
