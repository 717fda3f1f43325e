"""Dot-product attention with one fault, and whether a check finds it."""

import numpy as np
from keras import ops

from keras_twa.layers import DotProductAttention
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


class ReadsPadding(Broken):
    def before(self, arguments):
        arguments.update(value_mask=None, key_mask=None)


class IgnoresKeyMask(Broken):
    def before(self, arguments):
        arguments["key_mask"] = None


class IgnoresQueryMask(Broken):
    def before(self, arguments):
        arguments["query_mask"] = None


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


def rejects(check, layer, *arguments):
    """Whether the check finds something wrong with the layer."""
    try:
        check(DOT.with_layer(layer), *arguments)
    except AssertionError:
        return True
    return False
