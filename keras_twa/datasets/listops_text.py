"""ListOps expressions as text, as token ids, and in files."""

from pathlib import Path

import numpy as np

from keras_twa import files
from keras_twa.datasets.listops_grammar import CLOSE
from keras_twa.datasets.listops_grammar import NUM_CLASSES
from keras_twa.datasets.listops_grammar import OPERATORS
from keras_twa.datasets.listops_grammar import PAD_ID
from keras_twa.datasets.listops_grammar import SYMBOLS
from keras_twa.datasets.listops_grammar import TOKEN_IDS
from keras_twa.datasets.listops_grammar import UNKNOWN_ID
from keras_twa.datasets.listops_grammar import apply_operator

COLUMNS = ("Source", "Target")
HEADER = "\t".join(COLUMNS)
PARENTHESES = ("(", ")")
OPERATOR_INDICES = {name: index for index, name in enumerate(OPERATORS)}
DIGITS = {str(digit): digit for digit in range(10)}
LONGEST_EXCERPT = 60


def evaluate(source):
    """Returns the value of an expression, with or without parentheses.

    Args:
        source: String of symbols between spaces: `"[MAX 4 3 ]"`, or the same in
            the published form, `"( ( ( [MAX 4 ) 3 ) ] )"`.

    Returns:
        Integer from 0 to 9.

    Raises:
        ValueError: If `source` is not an expression.

    Example:

    >>> evaluate("[SM 8 [MED 1 4 ] 3 ]")
    3
    """
    symbols = _without_parentheses(source)
    value = _evaluate_symbols(symbols, source)
    if len(symbols) != len(source.split()) and source.split() != (
        parenthesize(symbols).split()
    ):
        raise _malformed("its parentheses are not those of its operators", source)
    return value


def encode(source):
    """Returns the token ids of an expression as a list, without parentheses.

    Example:

    >>> encode("( ( ( [MAX 4 ) 3 ) ] )")
    [12, 5, 4, 15]
    """
    return [TOKEN_IDS.get(s, UNKNOWN_ID) for s in _without_parentheses(source)]


def decode(tokens):
    """Returns the expression of a row of token ids, without parentheses.

    Example:

    >>> decode([12, 5, 4, 15, 0, 0])
    '[MAX 4 3 ]'
    """
    tokens = [int(token) for token in tokens if token != PAD_ID]
    for token in tokens:
        if not 1 <= token <= len(SYMBOLS):
            raise ValueError(
                f"Token ids of symbols run from 1 to {len(SYMBOLS)}. Received: {token}"
            )
    return " ".join(SYMBOLS[token - 1] for token in tokens)


def parenthesize(symbols):
    """Returns a well-formed list of symbols in the published form, a binary tree.

    Example:

    >>> parenthesize(["[MAX", "4", "3", "]"])
    '( ( ( [MAX 4 ) 3 ) ] )'
    """
    stack = [[]]
    for symbol in symbols:
        if symbol in OPERATOR_INDICES:
            stack.append([symbol])
            continue
        if symbol == CLOSE:
            operator, *arguments = stack.pop()
            text = "( " * (len(arguments) + 1) + operator
            symbol = " ) ".join([f"{text} {arguments[0]}", *arguments[1:], CLOSE])
            symbol += " )"
        stack[-1].append(symbol)
    return stack[0][0]


def write_tsv(path, sources, targets):
    """Writes expressions and their values in the published form.

    Args:
        path: The file. It appears only when complete.
        sources: Iterable of strings, with or without parentheses.
        targets: Iterable of integers, as many.

    Raises:
        ValueError: If a row is malformed. No file is written in that case.
    """
    with files.whole(path, "w", encoding="ascii", newline="\n") as file:
        file.write(f"{HEADER}\n")
        rows = zip(sources, targets, strict=True)
        for number, (source, target) in enumerate(rows, start=2):
            _check_row(path, number, source, str(target))
            symbols = _without_parentheses(source)
            file.write(f"{parenthesize(symbols)}\t{target}\n")


def read_tsv(path):
    """Reads a file of expressions and values, with or without parentheses.

    Args:
        path: The file, in UTF-8. Its first line names the columns, `Source` and
            `Target`, in either order, with a tab between them. Empty lines at the end
            are skipped.

    Returns:
        A tuple `(sources, targets)`: a list of strings without parentheses, and
        an `int32` array.

    Raises:
        ValueError: If the file is missing, a row is malformed, or its target is not
            the value of its source. The message names the file and the line.
    """
    sources, targets = [], []
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Cannot read ListOps: {error}. Received: {path=}") from error
    lines = text.rstrip().splitlines()
    names = lines[0].split("\t") if lines else []
    if sorted(names) != sorted(COLUMNS):
        raise ValueError(
            f"{path}, line 1: expected the header {HEADER!r}. "
            f"Received: {_excerpt(lines[0] if lines else '')}"
        )
    source_column, target_column = (names.index(name) for name in COLUMNS)
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != 2:
            raise ValueError(
                f"{path}, line {number}: expected two columns, a source and a "
                f"target. Received: {_excerpt(line)}"
            )
        source, target = fields[source_column], fields[target_column]
        targets.append(_check_row(path, number, source, target))
        sources.append(" ".join(_without_parentheses(source)))
    return sources, np.array(targets, "int32")


def _check_row(path, number, source, target):
    try:
        value = evaluate(source)
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: {error}") from error
    if target != str(value):
        raise ValueError(
            f"{path}, line {number}: the value of the source is {value} (targets run "
            f"from 0 to {NUM_CLASSES - 1}). Received: target {_excerpt(target)}"
        )
    return value


def _evaluate_symbols(symbols, source):
    # One list per open operator, and the outermost for the final value.
    stack = [[]]
    operators = []
    for symbol in symbols:
        if symbol in DIGITS:
            stack[-1].append(DIGITS[symbol])
        elif symbol in OPERATOR_INDICES:
            operators.append(OPERATOR_INDICES[symbol])
            stack.append([])
        elif symbol != CLOSE:
            raise _malformed(f"it contains the unknown symbol {symbol!r}", source)
        elif not operators:
            raise _malformed("it closes more operators than it opens", source)
        else:
            arguments = stack.pop()
            if not arguments:
                raise _malformed("it has an operator without arguments", source)
            stack[-1].append(apply_operator(operators.pop(), arguments))
    if operators:
        raise _malformed("it leaves an operator open", source)
    if len(stack[0]) != 1:
        raise _malformed(f"it contains {len(stack[0])} values side by side", source)
    return stack[0][0]


def _without_parentheses(source):
    return [symbol for symbol in source.split() if symbol not in PARENTHESES]


def _malformed(reason, source):
    return ValueError(
        f"Not a ListOps expression: {reason}. Received: {_excerpt(source)}"
    )


def _excerpt(text):
    return repr(text[:LONGEST_EXCERPT]) + ("..." if len(text) > LONGEST_EXCERPT else "")
