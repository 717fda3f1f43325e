"""Every check fails on a layer that breaks its promise.

The broken layers are dot-product attention with one thing wrong.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa.layers import DotProductAttention
from tests.contract import checks
from tests.contract import scenarios
from tests.contract.cases import PLAIN

DOT = PLAIN[0]


class Broken(DotProductAttention):
    """Dot-product attention whose arguments and results a fault may change."""

    def before(self, arguments):
        """Change the arguments of a call in place."""

    def after(self, result, arguments):
        """Return another result."""
        return result

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        query_positions=None,
        key_positions=None,
    ):
        """Call dot-product attention between the two hooks."""
        arguments = {
            name: value
            for name, value in locals().items()
            if name not in ("self", "__class__")
        }
        self.before(arguments)
        result = super().call(**arguments)
        if not return_attention_scores:
            return self.after(result, arguments)
        return self.after(result[0], arguments), result[1]


class LeaksTheFuture(Broken):
    def before(self, arguments):
        arguments["use_causal_mask"] = False


class AlignsCausalMaskTopLeft(Broken):
    def before(self, arguments):
        if arguments["use_causal_mask"]:
            shape = (1, arguments["query"].shape[1], arguments["value"].shape[1])
            lower = np.tril(np.ones(shape, bool))
            pairs = arguments["attention_mask"]
            pairs = lower if pairs is None else ops.logical_and(pairs, lower)
            arguments.update(use_causal_mask=False, attention_mask=pairs)


class ReadsPadding(Broken):
    def before(self, arguments):
        arguments.update(value_mask=None, key_mask=None)


class IgnoresKeyMask(Broken):
    def before(self, arguments):
        arguments["key_mask"] = None


class IgnoresQueryMask(Broken):
    def before(self, arguments):
        arguments["query_mask"] = None


class IgnoresPairs(Broken):
    def before(self, arguments):
        arguments["attention_mask"] = None


class InvertsPairs(Broken):
    def before(self, arguments):
        if arguments["attention_mask"] is not None:
            arguments["attention_mask"] = ops.logical_not(arguments["attention_mask"])


class LetsPaddingInByZeroTimesIt(Broken):
    """Hides a masked value by multiplying with 0: Inf and NaN come through."""

    def after(self, result, arguments):
        mask, value = arguments["value_mask"], arguments["value"]
        if mask is None:
            mask = arguments["key_mask"]
        if mask is None:
            return result
        seen = ops.multiply(value, ops.cast(ops.expand_dims(mask, -1), value.dtype))
        nothing = ops.sum(seen, axis=(1, 2), keepdims=True)
        return ops.add(result, ops.subtract(nothing, nothing))


class AveragesMaskedRows(Broken):
    """Gives a query without keys the mean of all values, as a -1e9 mask does."""

    def before(self, arguments):
        queries, keys = (arguments[name].shape[1] for name in ("query", "value"))
        batch = arguments["query"].shape[0]
        visible = np.ones((batch, queries, keys), bool)
        for name, axis in (("query_mask", 2), ("value_mask", 1), ("key_mask", 1)):
            if arguments[name] is not None:
                one = ops.expand_dims(arguments.pop(name), axis)
                visible = ops.logical_and(visible, one)
        if arguments["attention_mask"] is not None:
            visible = ops.logical_and(visible, arguments["attention_mask"])
        if arguments["use_causal_mask"]:
            lower = np.tril(np.ones((queries, keys), bool), keys - queries)
            visible = ops.logical_and(visible, lower)
        some = ops.any(visible, axis=-1, keepdims=True)
        arguments["attention_mask"] = ops.logical_or(visible, ops.logical_not(some))
        arguments["use_causal_mask"] = False


class HasAWrongInputGradient(Broken):
    def after(self, result, arguments):
        x = arguments["value"]
        extra = ops.subtract(x, ops.stop_gradient(x))
        return ops.add(result, ops.sum(extra, axis=(1, 2), keepdims=True))


class StopsAWeightGradient(Broken):
    def before(self, arguments):
        arguments["query"] = ops.stop_gradient(arguments["query"])


class GivesScaledScores(Broken):
    def call(self, *arguments, return_attention_scores=False, **options):
        """Return the scores twice as large."""
        options["return_attention_scores"] = return_attention_scores
        result = super().call(*arguments, **options)
        if return_attention_scores:
            return result[0], ops.multiply(result[1], 2.0)
        return result


class IsSlightlyOff(Broken):
    def after(self, result, arguments):
        return ops.multiply(result, 1.01)


class FailsAtLengthOne(Broken):
    def after(self, result, arguments):
        return ops.multiply(result, 1.0 if arguments["query"].shape[1] > 1 else 2.0)


class OverflowsHalves(Broken):
    """Forms squared sums in the compute dtype, as a careless norm does."""

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


class HasNanGradientAtZeroDistance(Broken):
    """Takes a square root whose gradient at 0 is infinite."""

    def after(self, result, arguments):
        x = ops.subtract(arguments["query"][:, :1], arguments["value"][:, 1:2])
        distance = ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))
        return ops.add(result, ops.multiply(distance, 1e-9))


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


class NeverDrops(Broken):
    def before(self, arguments):
        arguments["training"] = False


class DropsAtInference(Broken):
    def before(self, arguments):
        arguments["training"] = self.dropout > 0


class DropsTheOutputInstead(Broken):
    """Scales kept outputs as if nothing had been dropped."""

    def after(self, result, arguments):
        return ops.multiply(result, 0.7) if arguments["training"] else result


class DropsTheSameEveryStep(Broken):
    def before(self, arguments):
        state = [v for v in self.variables if "seed" in v.path]
        for variable in state:
            variable.assign(ops.full(variable.shape, 3, dtype=variable.dtype))


class LosesDropout(Broken):
    def get_config(self):
        config = super().get_config()
        config["dropout"] = 0.0
        return config


class OmitsUseBias(Broken):
    def get_config(self):
        config = super().get_config()
        del config["use_bias"]
        return config


class LosesAWeight(Broken):
    def load_own_variables(self, store):
        """Load nothing."""

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")

    def after(self, result, arguments):
        return ops.add(result, self.shift)


class FreezesTheProjection(Broken):
    def before(self, arguments):
        arguments["query"] = ops.multiply(arguments["query"], 0.0)


class StatesAWrongShape(Broken):
    def compute_output_spec(self, *arguments, **options):
        """State one more length."""
        spec = super().compute_output_spec(*arguments, **options)
        first = spec[0] if isinstance(spec, (tuple, list)) else spec
        shape = (first.shape[0], 1, first.shape[2])
        wrong = keras.KerasTensor(shape, dtype=first.dtype)
        return (wrong, *spec[1:]) if isinstance(spec, (tuple, list)) else wrong


class ForgetsTheScores(Broken):
    def compute_output_spec(self, *arguments, **options):
        """State one tensor always."""
        spec = super().compute_output_spec(*arguments, **options)
        return spec[0] if isinstance(spec, (tuple, list)) else spec


class SwallowsTheMask(Broken):
    def compute_mask(self, *arguments, **options):
        """Pass no mask on."""


class LosesTheRidingMask(Broken):
    def __call__(self, query, value, **options):
        """Call with tensors that carry no mask any more."""
        return super().__call__(ops.add(query, 0.0), ops.add(value, 0.0), **options)


class AcceptsAnything(DotProductAttention):
    """Puts every argument right by itself."""

    def __init__(self, num_heads, key_dim, **options):
        good = {k: v for k, v in options.items() if k in ("name", "dtype")}
        super().__init__(2, 4, **good)

    def __call__(self, query, value, **options):
        """Call with nothing but two good tensors."""
        return query


class RaisesTheWrongError(DotProductAttention):
    def __init__(self, num_heads, key_dim, **options):
        super().__init__(num_heads=2, key_dim=4)
        raise TypeError("num_heads")


class RaisesWithoutSayingWhat(DotProductAttention):
    def __call__(self, *arguments, **options):
        """Refuse with no reason."""
        raise ValueError("bad shapes")


def fails(check, layer, *arguments):
    """Assert that the check rejects the layer, and accepts the sound one."""
    with pytest.raises(AssertionError):
        check(DOT.with_layer(layer), *arguments)


def in_scenario(name):
    """Return the scenario `name`."""
    return scenarios.scenarios()[name]


@pytest.mark.parametrize(
    ("layer", "scenario"),
    [
        (IsSlightlyOff, "cross"),
        (GivesScaledScores, "cross"),
        (LeaksTheFuture, "causal"),
        (AlignsCausalMaskTopLeft, "causal, more keys"),
        (ReadsPadding, "padded"),
        (IgnoresKeyMask, "key mask"),
        (IgnoresKeyMask, "both masks"),
        (IgnoresQueryMask, "padded"),
        (IgnoresPairs, "pairs"),
        (InvertsPairs, "pairs per head"),
        (AveragesMaskedRows, "empty batch element"),
    ],
)
def test_values(layer, scenario):
    fails(checks.equals_reference, layer, in_scenario(scenario))


def test_values_at_length():
    fails(checks.equals_reference_at_length, FailsAtLengthOne, 1, 5)


@pytest.mark.parametrize("layer", [HasAWrongInputGradient, StopsAWeightGradient])
def test_gradients(layer):
    fails(checks.gradients_equal_reference, layer)


def test_causality():
    fails(checks.future_leaves_past, LeaksTheFuture)


def test_causality_of_gradients():
    fails(checks.future_leaves_past, HasAWrongInputGradient)


@pytest.mark.parametrize("layer", [ReadsPadding, IgnoresKeyMask])
def test_padding(layer):
    fails(checks.padding_is_inert, layer, 1e9)


@pytest.mark.parametrize("poison", [np.inf, np.nan])
def test_poisonous_padding(poison):
    checks.padding_is_inert(DOT, poison)
    fails(checks.padding_is_inert, LetsPaddingInByZeroTimesIt, poison)


@pytest.mark.parametrize("layer", [AveragesMaskedRows, IgnoresQueryMask])
def test_masked_rows(layer):
    fails(checks.masked_rows_give_zero, layer)


def test_large_logits():
    fails(checks.large_logits_stay_finite, OverflowsLargeLogits)


def test_coincident_points():
    fails(checks.coincident_points_stay_exact, HasNanGradientAtZeroDistance)


@pytest.mark.parametrize("layer", [ComputesInBfloat16, ReturnsFloat32])
def test_half_precision(layer):
    fails(checks.half_precision_is_close, layer, "mixed_float16")


def test_half_precision_overflow():
    fails(checks.half_precision_does_not_overflow, OverflowsHalves)


def test_timestamps():
    fails(checks.timestamps_keep_their_precision, RoundsTimes)


@pytest.mark.parametrize(
    "layer",
    [NeverDrops, DropsAtInference, DropsTheOutputInstead, DropsTheSameEveryStep],
)
def test_dropout(layer):
    fails(checks.dropout_is_sound, layer)


@pytest.mark.parametrize("layer", [NeverDrops, DropsTheOutputInstead])
def test_dropped_weights(layer):
    fails(checks.dropout_drops_whole_weights, layer)


def test_dropout_gradient():
    fails(checks.dropout_has_its_own_gradient, HasAWrongInputGradient)


@pytest.mark.parametrize("layer", [LosesDropout, OmitsUseBias])
def test_config(layer):
    fails(checks.config_round_trips, layer)


def test_saving(tmp_path):
    broken = keras.saving.register_keras_serializable("tests")(LosesAWeight)
    fails(checks.saves_and_loads, broken, tmp_path)


def test_fit():
    fails(checks.fits_at_unknown_length, FreezesTheProjection)


@pytest.mark.parametrize("layer", [StatesAWrongShape, ForgetsTheScores])
def test_symbolic(layer):
    fails(checks.symbolic_equals_eager, layer)


@pytest.mark.parametrize("layer", [SwallowsTheMask, LosesTheRidingMask])
def test_mask_propagation(layer):
    fails(checks.masks_propagate, layer)


@pytest.mark.parametrize("layer", [AcceptsAnything, RaisesTheWrongError])
def test_bad_options(layer):
    fails(checks.refuses_bad_options, layer, {"num_heads": 0})


@pytest.mark.parametrize("layer", [AcceptsAnything, RaisesWithoutSayingWhat])
def test_bad_call(layer):
    fails(checks.refuses_bad_call, layer, checks.bad_calls()["query of rank 2"])
