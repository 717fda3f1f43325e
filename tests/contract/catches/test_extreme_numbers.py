"""The checks of extreme numbers fail on Inf and NaN."""

import pytest
from keras import ops

from keras_twa.testing import checks
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class OverflowsLargeLogits(Broken):
    """Takes exp without first subtracting the maximum."""

    def after(self, result, arguments):
        logits = ops.sum(ops.abs(self.query_dense(arguments["query"])), axis=(2, 3))
        huge = ops.exp(ops.expand_dims(logits, -1))
        return ops.multiply(result, ops.divide(huge, huge))

    def query_dense(self, query):
        """Return the projected queries."""
        kernel = next(v for v in self.weights if v.path.endswith("query/kernel"))
        return ops.einsum("btf,fhd->bthd", query, kernel)


class ForgetsSmallSums(Broken):
    """Treats a small sum of products as an empty sum."""

    def after(self, result, arguments):
        query = arguments["query"]
        kernel, bias = (self._of_queries(kind) for kind in ("kernel", "bias"))
        heads = ops.einsum("btf,fhd->bthd", query, kernel) + bias
        total = ops.sum(ops.square(heads), axis=(2, 3))
        return ops.where(ops.greater(total, 1e-10)[..., None], result, 0.0)

    def _of_queries(self, kind):
        return next(v for v in self.weights if v.path.endswith(f"query/{kind}"))


class HasNanGradientAtZeroDistance(Broken):
    """Takes a square root whose gradient at 0 is infinite."""

    def after(self, result, arguments):
        x = ops.subtract(arguments["query"][:, :1], arguments["value"][:, 1:2])
        distance = ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))
        return ops.add(result, ops.multiply(distance, 1e-9))


def test_large_logits():
    assert rejects(checks.large_logits_stay_finite, OverflowsLargeLogits)


def test_features_of_any_size():
    assert rejects(checks.features_of_any_size_count, ForgetsSmallSums)


def test_coincident_points():
    assert rejects(checks.coincident_points_stay_exact, HasNanGradientAtZeroDistance)
