"""The checks of `projected` fail on layers that lose or misread it."""

import pytest
from keras import ops

from keras_twa.layers import DotProductAttention
from keras_twa.layers import TemporalWeightedAttention
from keras_twa.testing import checks
from tests.contract.cases import PLAIN
from tests.contract.catches.faults import DOT
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class ForgetsPadding(DotProductAttention):
    def project(self, value, key=None, **options):
        """Project without the masks."""
        return super().project(value, key)


class ForgetsTheKey(DotProductAttention):
    def project(self, value, key=None, **options):
        """Project the value instead of the key."""
        return super().project(value, **options)


class StopsGradients(DotProductAttention):
    def project(self, *arguments, **options):
        """Project without a gradient."""
        found = super().project(*arguments, **options)
        return {name: ops.stop_gradient(x) for name, x in found.items()}


class ForgetsTimes(TemporalWeightedAttention):
    def project(self, *arguments, key_positions=None, **options):
        """Project with all times at 0."""
        if key_positions is not None:
            options["key_positions"] = ops.zeros_like(key_positions)
        return super().project(*arguments, **options)


class MisstatesShapes(DotProductAttention):
    def projected_spec(self, batch, length, **options):
        """State one step too many."""
        return super().projected_spec(batch, length + 1, **options)


class TakesAnything(DotProductAttention):
    def call(self, query, value=None, projected=None, **options):
        """Return a tensor of the right shape."""
        return query


@pytest.mark.parametrize("layer", [ForgetsPadding, ForgetsTheKey, StopsGradients])
def test_projected(layer):
    assert rejects(checks.projected_equals_one_call, layer)


def test_projected_times():
    with pytest.raises(AssertionError, match="output, everything"):
        checks.projected_equals_one_call(PLAIN[1].with_layer(ForgetsTimes))


def test_stated_shapes():
    assert rejects(checks.projected_has_the_stated_shapes, MisstatesShapes)


def test_bad_projected():
    with pytest.raises(AssertionError, match="nothing was raised"):
        checks.refuses_bad_projected(DOT.with_layer(TakesAnything))


def test_refusal():
    assert rejects(checks.refuses_projected, DotProductAttention)
