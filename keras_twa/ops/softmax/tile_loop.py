"""Softmax attention over tiles of scores, forward and backward.

The tiles come from `tile_layout.py`; this is what is done with each of them.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops import backend
from keras_twa.ops.backend.limits import LEAST_LOGIT
from keras_twa.ops.softmax.rules import Rules
from keras_twa.ops.softmax.tile_layout import Rows
from keras_twa.ops.softmax.tile_layout import Window
from keras_twa.ops.softmax.tile_layout import Work

# A tile of 2^20 float32 scores is 4 MB. Smaller ones would fit a core's own cache, but
# each turn of the loop has its price too.
TILE_ELEMENTS = 2**20
# Of long sequences, a tile of that size would hold so few queries that products with
# it are slow.
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
        parameters: Tensors of any shape that `score` needs whole.
        window: The `Window` of keys that a tile sees, or `None` for all of them. It
            needs S = T.
        lags: Dictionary of constants `(rows, T + S - 1)`, or `None`; see
            `tiled_attention`.
        width: How many numbers the score holds for a pair; see `tiled_attention`.

    Returns:
        The output `(rows, T, D)`, and the logarithm of the sum of the exponentials
        of each query's logits `(rows, T, 1)`, both float32.
    """
    lags = {} if lags is None else lags
    passes = _Passes(
        score,
        tuple(query),
        tuple(key),
        len(parameters),
        tuple(lags),
        rules.static(),
        window,
        max(1, TILE_ELEMENTS // width),
        max(1, TILE_QUERIES // width),
        backend.KEY_BLOCK,
    )
    tensors = [*query.values(), *key.values(), value, *parameters]
    constants = [*lags.values(), *rules.tensors().values()]
    return backend.differentiable(passes, [*tensors, *constants])


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

    All that is constant is here, in fields that can be compared, so that a compiler
    knows a call that it has met before.
    """

    score: Any
    query_names: tuple[str, ...]
    key_names: tuple[str, ...]
    num_parameters: int
    lag_names: tuple[str, ...]
    rules: Rules
    window: Window | None
    tile_elements: int
    least_queries: int
    key_block: int | None

    def forward(self, *tensors):
        work = Work(self, tensors)

        def attend_rows(carry, slices, _):
            rows = Rows(work, slices)

            def attend_tile(carry, queries, index):
                tile = rows.tile(queries, index)
                logits = tile.masked(tile.score(*tile.leaves))
                weights, total, log_total = backend.softmax(logits, work.key_axes)
                value = ops.swapaxes(tile.value, -1, -2)
                output = backend.matmul(tile.drop(weights, tile.kept()), value)
                # The division is left for here, where it touches t x D, not t x S.
                output = tile.sum_blocks(output) * (work.scale / total)
                return carry, [output, log_total]

            return carry, _loop(attend_tile, [], rows.tiles(), 2)[1]

        outputs = _loop(attend_rows, [], work.slices, 2)[1]
        return tuple(work.join_queries(x) for x in outputs)

    def backward(self, tensors, outputs, gradients, needed):
        work = Work(self, tensors)
        output, log_total = outputs
        gradient, log_gradient = gradients
        # What softmax takes off the gradient of each weight of a query.
        mean = ops.sum(gradient * output, axis=-1, keepdims=True) - log_gradient
        # Queries that fill up the last tile have no weights, whatever they see.
        work.add_queries(log_total=log_total, fill=-LEAST_LOGIT)
        work.add_queries(gradient=gradient, mean=mean, fill=0.0)
        num_queries = len(self.query_names)
        num_leaves = num_queries + len(self.key_names)
        num_columns = len(self.key_names) + 1
        # The value is no argument of the score.
        needed = [*needed[:num_leaves], *needed[num_leaves + 1 :]]
        needed = needed[: num_leaves + self.num_parameters]

        def pull_rows(in_parameters, slices, _):
            rows = Rows(work, slices)

            def pull_tile(sums, queries, index):
                tile = rows.tile(queries, index)
                logits, pull = backend.pullback(tile.score, tile.leaves, needed)
                logits = tile.masked(logits)
                weights = backend.exp_difference(logits, queries["log_total"])
                gradient = queries["gradient"] * work.scale
                kept = tile.kept()
                in_weights = tile.drop(backend.matmul(gradient, tile.value), kept)
                mixed = weights if kept is None else backend.keep(weights, kept)
                in_value = backend.matmul(ops.swapaxes(gradient, -1, -2), mixed)
                in_logits = backend.softmax_gradient(
                    weights, in_weights, queries["mean"]
                )
                pulled = pull(in_logits)
                columns = [*pulled[num_queries:num_leaves], in_value]
                sums = [
                    *map(tile.add_keys, sums[:num_columns], columns),
                    *_sums(sums[num_columns:], pulled[num_leaves:]),
                ]
                return sums, [tile.sum_blocks(x) for x in pulled[:num_queries]]

            zeros = rows.zeros()
            sums, in_query = _loop(
                pull_tile, [*zeros, *in_parameters], rows.tiles(), num_queries
            )
            columns = [rows.joined(x) for x in sums[:num_columns]]
            return sums[num_columns:], [*in_query, *columns]

        in_parameters, found = _loop(
            pull_rows,
            [ops.zeros_like(x) for x in work.parameters],
            work.slices,
            num_queries + num_columns,
        )
        in_query = [work.join_queries(x) for x in found[:num_queries]]
        columns = [work.join_keys(x) for x in found[num_queries:]]
        return [*in_query, *columns, *in_parameters, *[None] * work.num_constants]


def _loop(body, carry, slices, num_results):
    """`backend.scan`, without the loop where there is a single part."""
    if next(iter(slices.values())).shape[0] != 1:
        return backend.scan(body, carry, slices, num_results)
    carry, results = body(carry, {name: x[0] for name, x in slices.items()}, 0)
    return carry, [x[None] for x in results]


def _sums(totals, parts):
    return [total + part for total, part in zip(totals, parts, strict=True)]
