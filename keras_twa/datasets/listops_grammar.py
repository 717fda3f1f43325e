"""The ListOps grammar of Long Range Arena, sampled many trees at a time."""

import numpy as np

OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
CLOSE = "]"
# Token ids: 0 pads, 1..10 are the digits 0..9, 11..14 the operators, 15 closes.
SYMBOLS = (*"0123456789", *OPERATORS, CLOSE)
TOKEN_IDS = {symbol: index for index, symbol in enumerate(SYMBOLS, start=1)}
PAD_ID = 0
FIRST_OPERATOR_ID = TOKEN_IDS[OPERATORS[0]]
CLOSE_ID = TOKEN_IDS[CLOSE]
UNKNOWN_ID = len(SYMBOLS) + 1
VOCABULARY_SIZE = UNKNOWN_ID + 1
NUM_CLASSES = 10

# The original script calls this number `VALUE_P`, but it is the probability
# of an operator.
OPERATOR_PROBABILITY = 0.25
MIN, MAX, MED, SM = range(4)


def apply_operator(operator, arguments):
    """Applies the operator with this index in `OPERATORS` to a list of digits."""
    if operator == MIN:
        return min(arguments)
    if operator == MAX:
        return max(arguments)
    if operator == MED:
        ordered = sorted(arguments)
        half = len(ordered) // 2
        return (ordered[half] + ordered[-half - 1]) // 2
    return sum(arguments) % 10


def sample_expressions(rng, num_trees, min_length, max_length, max_depth, max_args):
    """Samples trees and keeps those with `min_length < length < max_length`.

    All trees grow together, one depth at a time, so that each step is a NumPy
    operation over every node of that depth. A tree that must become too long stops
    growing. Trees are independent, so this does not change the distribution of the
    kept trees.

    Args:
        rng: A `numpy.random.Generator`.
        num_trees: Number of trees to draw. Fewer are kept.
        min_length: Kept lengths are greater than this.
        max_length: Kept lengths are smaller than this.
        max_depth: Depth of the deepest leaves, the root being at depth 1.
        max_args: Largest number of arguments of an operator.

    Returns:
        A tuple `(tokens, lengths, values)` of the kept trees: `uint8` token ids
        one tree after another, `int32` lengths, and `uint8` values.
    """
    levels, lengths = _grow(rng, num_trees, max_length, max_depth, max_args)
    kept = (lengths > min_length) & (lengths < max_length)
    levels = [_select(level, kept) for level in levels]
    values, sizes = _evaluate(levels, max_args)
    lengths = lengths[kept]
    return _write(levels, sizes, lengths), lengths, values


def _grow(rng, num_trees, max_length, max_depth, max_args):
    """Returns per depth `(tree, symbol, num_args)`, and the length of each tree.

    `symbol` is the token id of a node, and `num_args` has entries for operators
    only. Children are at the next depth in the order of their parents.
    """
    lengths = np.zeros(num_trees, "int32")
    tree = np.arange(num_trees, dtype="int32")
    levels = []
    for depth in range(1, max_depth + 1):
        symbol = rng.integers(1, 11, len(tree), "uint8")
        lengths += np.bincount(tree, minlength=num_trees).astype("int32")
        if depth == max_depth:
            levels.append((tree, symbol, np.zeros(0, "int32")))
            break
        is_operator = rng.random(len(tree), "float32") < OPERATOR_PROBABILITY
        parents = tree[is_operator]
        symbol[is_operator] = rng.integers(
            FIRST_OPERATOR_ID, CLOSE_ID, len(parents), "uint8"
        )
        num_args = rng.integers(2, max_args + 1, len(parents), "int32")
        levels.append((tree, symbol, num_args))
        # Every operator also has a closing bracket, and every argument has at least
        # one token.
        lengths += np.bincount(parents, minlength=num_trees).astype("int32")
        promised = lengths + np.bincount(parents, num_args, num_trees)
        too_long = promised >= max_length
        lengths[too_long] = max_length
        tree = np.repeat(parents, np.where(too_long[parents], 0, num_args))
        if not len(tree):
            break
    return levels, lengths


def _select(level, kept):
    """Drops the nodes of the trees that are not kept."""
    tree, symbol, num_args = level
    keep = kept[tree]
    is_operator = symbol >= FIRST_OPERATOR_ID
    return symbol[keep], num_args[keep[is_operator]]


def _evaluate(levels, max_args):
    """Returns the values of the roots, and per depth the sizes of the subtrees."""
    value = np.zeros(0, "uint8")
    size = np.zeros(0, "int32")
    sizes = []
    for symbol, num_args in reversed(levels):
        is_operator = symbol >= FIRST_OPERATOR_ID
        arguments, argument_sizes = value, size
        value = symbol - 1
        size = np.ones(len(symbol), "int32")
        if len(num_args):
            starts = np.cumsum(num_args) - num_args
            operator = symbol[is_operator] - FIRST_OPERATOR_ID
            results = np.add.reduceat(arguments, starts, dtype="int32") % 10
            results = np.where(
                operator == MIN, np.minimum.reduceat(arguments, starts), results
            )
            results = np.where(
                operator == MAX, np.maximum.reduceat(arguments, starts), results
            )
            is_median = operator == MED
            results[is_median] = _medians(
                arguments, starts[is_median], num_args[is_median], max_args
            )
            value[is_operator] = results
            size[is_operator] = 2 + np.add.reduceat(argument_sizes, starts)
        sizes.append(size)
    return value, sizes[::-1]


def _medians(arguments, starts, num_args, max_args):
    """Returns the integer part of the median of each run of `arguments`."""
    columns = np.arange(max_args)
    inside = columns < num_args[:, None]
    last = max(len(arguments) - 1, 0)
    table = arguments[np.minimum(starts[:, None] + columns, last)]
    # Greater than any digit, so that fill values sort behind the arguments.
    table[~inside] = 10
    table.sort(axis=1)
    rows = np.arange(len(starts))
    return (table[rows, (num_args - 1) // 2] + table[rows, num_args // 2]) // 2


def _write(levels, sizes, lengths):
    """Returns the tokens of all trees in reading order, one tree after another."""
    tokens = np.zeros(int(lengths.sum()), "uint8")
    position = np.cumsum(lengths, dtype="int64") - lengths
    for depth, ((symbol, num_args), size) in enumerate(zip(levels, sizes, strict=True)):
        tokens[position] = symbol
        if not len(num_args):
            break
        is_operator = symbol >= FIRST_OPERATOR_ID
        opening = position[is_operator]
        tokens[opening + size[is_operator] - 1] = CLOSE_ID
        # A child begins behind its parent's operator and its earlier siblings.
        child_size = sizes[depth + 1]
        before = np.cumsum(child_size, dtype="int64") - child_size
        starts = np.cumsum(num_args) - num_args
        position = np.repeat(opening + 1 - before[starts], num_args) + before
    return tokens
