"""The checks of precision fail on careless dtypes."""

import keras
import pytest
from keras import ops

from keras_twa.testing import checks
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class OverflowsHalves(Broken):
    """Computes sums of squares in the compute dtype, as a careless norm does."""

    def after(self, result, arguments):
        size = ops.sum(ops.square(ops.multiply(result, 100.0)), axis=-1, keepdims=True)
        return ops.multiply(result, ops.divide(size, size))


class ComputesInBfloat16(Broken):
    def after(self, result, arguments):
        coarse = ops.cast(ops.cast(result, "float8_e5m2"), "float32")
        if self.compute_dtype == "float32":
            return result
        return ops.cast(coarse, result.dtype)


class ReturnsFloat32(Broken):
    def after(self, result, arguments):
        return ops.cast(result, "float32")


class RoundsTimes(Broken):
    def call(self, *arguments, return_attention_scores=False, **options):
        """Weight the scores by times in the compute dtype."""
        times = ops.cast(options["key_positions"], self.compute_dtype)
        times = ops.subtract(ops.cast(times, "float32"), 1e6)
        weight = ops.softmax(ops.multiply(times, 0.03))
        result = super().call(
            *arguments, return_attention_scores=return_attention_scores, **options
        )
        if return_attention_scores:
            return result[0], ops.multiply(result[1], weight)
        return result


@pytest.mark.parametrize("layer", [ComputesInBfloat16, ReturnsFloat32])
def test_half_precision(layer):
    assert rejects(checks.half_precision_is_close, layer, "mixed_float16")


def test_half_precision_overflow():
    assert rejects(checks.half_precision_does_not_overflow, OverflowsHalves)


def test_timestamps():
    assert rejects(checks.timestamps_keep_their_precision, RoundsTimes)


def test_float64():
    assert rejects(checks.float64_is_taken, ComputesInBfloat16)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="float64 is float32 there by default"
)
def test_float64_dtype():
    assert rejects(checks.float64_is_taken, ReturnsFloat32)
