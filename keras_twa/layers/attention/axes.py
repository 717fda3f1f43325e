"""Attention along any axes: images, videos, batches of batches.

The axes that are attended become one, in row-major order; the others join the batch.
So every mechanism can do it, at the cost of the call with sequences that it becomes.
"""

import functools

from keras_twa.layers import checks
from keras_twa.layers.attention.arguments import before_conversion
from keras_twa.layers.attention.arguments import named
from keras_twa.layers.attention.folding import Fold


def takes_any_axes(method):
    """Lets a method for sequences `(B, T, F)` take inputs of further axes.

    Args:
        method: `call` or `compute_output_spec` of an attention layer. It gets pairs of
            an attention mask as `(B or 1, H or 1, T or 1, S)`.
    """

    @functools.wraps(method)
    def with_any_axes(self, *args, **kwargs):
        given = named(args, kwargs)
        query, value, key = sources(given)
        fold = self._fold(query.shape, value.shape, key.shape)
        folded = fold.arguments(self, given, (query, value, key))
        results = method(self, **folded)
        if fold.rank == 3:
            return results
        if not given.get("return_attention_scores"):
            return fold.unfold(results, query)
        outputs, scores = results
        return fold.unfold(outputs, query), fold.unfold_scores(scores, query, key)

    return with_any_axes


class AnyAxes:
    """The part of an attention layer that makes sequences of its inputs."""

    def _use_axes(self, given):
        """Keeps `attention_axes` of a constructor."""
        self.attention_axes = checks.axes(given)

    def __call__(self, query, *args, **kwargs):
        args, kwargs = before_conversion((query, *args), kwargs)
        return super().__call__(*args, **kwargs)

    def _fold(self, query, value, key):
        """The `Fold` of inputs of such shapes."""
        checks.ranks(query, value, key)
        fold = Fold.of(len(query), self.attention_axes)
        checks.input_shapes(query, value, key, fold.shared)
        return fold

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        self._fold(query_shape, value_shape, key_shape)
        return (*query_shape[:-1], *(self._output_dims or (query_shape[-1],)))


def sources(given):
    """Query, value and key of a call; the first stands in for what is not given."""
    query = given["query"]
    value = query if given.get("value") is None else given["value"]
    key = value if given.get("key") is None else given["key"]
    return query, value, key
