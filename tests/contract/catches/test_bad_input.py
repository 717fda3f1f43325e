"""The checks of bad input fail on layers that accept it or raise without details."""

import pytest

from keras_twa.layers import DotProductAttention
from keras_twa.testing import checks
from tests.contract.catches.faults import DOT
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class AcceptsAnything(DotProductAttention):
    """Corrects every argument silently."""

    def __init__(self, num_heads, key_dim, **options):
        good = {k: v for k, v in options.items() if k in ("name", "dtype")}
        super().__init__(2, 4, **good)

    def __call__(self, query, value, **options):
        """Call with two valid tensors only."""
        return query


class RaisesTheWrongError(DotProductAttention):
    def __init__(self, num_heads, key_dim, **options):
        super().__init__(num_heads=2, key_dim=4)
        raise TypeError("num_heads")


class RaisesWithoutSayingWhat(DotProductAttention):
    def __call__(self, *arguments, **options):
        """Raise without a reason."""
        raise ValueError("bad shapes")


@pytest.mark.parametrize("layer", [AcceptsAnything, RaisesTheWrongError])
def test_bad_options(layer):
    assert rejects(checks.refuses_bad_options, layer, {"num_heads": 0})


@pytest.mark.parametrize("layer", [AcceptsAnything, RaisesWithoutSayingWhat])
def test_bad_call(layer):
    assert rejects(
        checks.refuses_bad_call, layer, checks.bad_calls(DOT)["query of rank 2"]
    )
