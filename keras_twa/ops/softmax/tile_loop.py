"""Softmax attention over tiles of scores, forward and backward.

`tile_layout.py` makes the tiles; this module does the computation for each of them.
"""

import operator
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.backend.limits import LEAST_LOGIT
from keras_twa.ops.nests import flatten
from keras_twa.ops.nests import map_tensors
from keras_twa.ops.softmax.rules import Rules
from keras_twa.ops.softmax.tile_keys import Window
from keras_twa.ops.softmax.tile_layout import Layout
from keras_twa.ops.softmax.tile_layout import RowGroup

# A tile of 2^20 float32 scores is 4 MB. Smaller tiles would fit a core's own cache, but
# each iteration of the loop has a cost, too.
TILE_ELEMENTS = 2**20
# In long sequences, a tile of that size would have too few queries for fast products.
TILE_QUERIES = 128


def attend_in_tiles(
    score, query, key, value, rules, parameters=(), window=None, lags=None, width=1
):
    """Computes the output of softmax attention, and its denominator.

    Args:
        score: See `tiled_attention`; hashable.
        query: Dictionary of tensors `(rows, T, ...)`.
        key: Dictionary of tensors `(rows, ..., S)`.
        value: `(rows, D, S)`.
        rules: The `Rules` of what a query sees and drops.
        parameters: Tensors of any shape, which `score` gets undivided.
        window: The `Window` of keys that a tile sees, or `None` for all of them. It
            needs S = T.
        lags: Dictionary of constants `(H, T + S - 1)`, or `None`; see
            `tiled_attention`. The rows are H for each batch element.
        width: How many numbers the score holds for a pair; see `tiled_attention`.

    Returns:
        The output `(rows, T, D)`, and the logarithm of the sum of the exponentials
        of each query's logits `(rows, T, 1)`, both float32.
    """
    passes = _Passes(
        score,
        rules.static(),
        window,
        max(1, TILE_ELEMENTS // width),
        max(1, TILE_QUERIES // width),
        backend.KEY_SPAN,
    )
    tensors = {
        "query": query,
        "key": key,
        "value": value,
        "parameters": tuple(parameters),
        "lags": lags or {},
        "rules": rules.tensors(),
    }
    found = backend.differentiable(passes, tensors)
    return found["output"], found["log_total"]


def merge(first, log_first, second, log_second):
    """The output of one softmax over two sets of keys.

    Args:
        first: The output over the first set, `(rows, T, D)`.
        log_first: The logarithm of its denominator, `(rows, T, 1)`.
        second: The same over the second set.
        log_second: Likewise.
    """
    highest = ops.maximum(log_first, log_second)
    first_share = ops.exp(log_first - highest)
    second_share = ops.exp(log_second - highest)
    total = first_share + second_share
    return (first * first_share + second * second_share) / total


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass, as loops over rows and, inside, queries.

    All constants are fields that can be compared, so that a compiler recognizes a call
    that it has compiled before. The tensors have the names that `attend_in_tiles` gives
    them; those of `lags` and `rules` are constants.
    """

    score: Any
    rules: Rules
    window: Window | None
    tile_elements: int
    least_queries: int
    key_span: int | None

    def forward(self, tensors):
        """The "output" of softmax attention, and the "log_total" of its weights."""
        layout = Layout(self, tensors)
        names = {"output": None, "log_total": None}

        def attend_rows(carry, slices, _):
            group = RowGroup(layout, slices)

            def attend_tile(carry, queries, index):
                def attend(keys):
                    tile = group.tile(queries, index, keys)
                    logits = tile.masked(tile.score(tile.arguments))
                    weights, total, log_total = backend.softmax(logits, layout.key_axes)
                    value = ops.swapaxes(tile.value, -1, -2)
                    output = backend.matmul(tile.drop(weights, tile.kept()), value)
                    # Divided here, where there are t x D numbers, not t x S.
                    output = tile.sum_spans(output) * (layout.scale / total)
                    return {"output": output, "log_total": log_total}

                return carry, layout.with_keys(queries, attend)

            _, found = _loop(attend_tile, {}, slices["tiles"], names)
            return carry, found

        _, outputs = _loop(attend_rows, {}, layout.slices, names)
        return map_tensors(layout.join_queries, outputs)

    def backward(self, tensors, outputs, gradients, needed):
        """The gradients of queries, keys, values and parameters."""
        layout = Layout(self, tensors)
        # Softmax subtracts this from the gradient of each weight of a query.
        mean = ops.sum(gradients["output"] * outputs["output"], axis=-1, keepdims=True)
        mean = mean - gradients["log_total"]
        # Queries that pad the last tile get weights of zero, whatever they see.
        layout.add_queries({"log_total": outputs["log_total"]}, fill=-LEAST_LOGIT)
        layout.add_queries({"gradient": gradients["output"], "mean": mean}, fill=0.0)
        # The value is not an argument of the score.
        needed = {name: needed[name] for name in ("query", "key", "parameters")}

        def pull_rows(in_parameters, slices, _):
            group = RowGroup(layout, slices)

            def pull_tile(sums, queries, index):
                return layout.with_keys(
                    queries, lambda keys: pull_keys(sums, queries, index, keys)
                )

            def pull_keys(sums, queries, index, keys):
                tile = group.tile(queries, index, keys)
                logits, pull = backend.pullback(tile.score, tile.arguments, needed)
                logits = tile.masked(logits)
                weights = backend.exp_difference(logits, queries["log_total"])
                gradient = queries["gradient"] * layout.scale
                kept = tile.kept()
                in_weights = tile.drop(backend.matmul(gradient, tile.value), kept)
                mixed = weights if kept is None else backend.keep(weights, kept)
                in_value = backend.matmul(ops.swapaxes(gradient, -1, -2), mixed)
                in_logits = backend.softmax_gradient(
                    weights, in_weights, queries["mean"]
                )
                pulled = pull(in_logits)
                sums = {
                    "columns": tile.add_keys(
                        sums["columns"], {"key": pulled["key"], "value": in_value}
                    ),
                    "parameters": map_tensors(
                        operator.add, sums["parameters"], pulled["parameters"]
                    ),
                }
                return sums, map_tensors(tile.sum_spans, pulled["query"])

            sums = {"columns": group.zeros(), "parameters": in_parameters}
            sums, in_query = _loop(pull_tile, sums, slices["tiles"], tensors["query"])
            found = {"query": in_query, **group.joined(sums["columns"])}
            return sums["parameters"], found

        in_parameters, found = _loop(
            pull_rows,
            map_tensors(ops.zeros_like, tensors["parameters"]),
            layout.slices,
            {name: tensors[name] for name in ("query", "key", "value")},
        )
        return {
            "query": map_tensors(layout.join_queries, found["query"]),
            "key": map_tensors(layout.join_keys, found["key"]),
            "value": layout.join_keys(found["value"]),
            "parameters": in_parameters,
        }


def _loop(body, carry, slices, results):
    """`backend.scan`, without the loop if there is a single part."""
    if flatten(slices)[0].shape[0] != 1:
        return backend.scan(body, carry, slices, results)
    carry, found = body(carry, map_tensors(lambda x: x[0], slices), 0)
    return carry, map_tensors(lambda x: x[None], found)
