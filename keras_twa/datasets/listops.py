"""Generated ListOps of Long Range Arena. Nothing is downloaded."""

import hashlib
import itertools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_twa.datasets import cache
from keras_twa.datasets import checks
from keras_twa.datasets.listops_grammar import NUM_CLASSES
from keras_twa.datasets.listops_grammar import VOCABULARY_SIZE
from keras_twa.datasets.listops_grammar import sample_expressions
from keras_twa.datasets.listops_text import decode
from keras_twa.datasets.listops_text import encode
from keras_twa.datasets.listops_text import evaluate
from keras_twa.datasets.listops_text import read_tsv
from keras_twa.datasets.listops_text import write_tsv
from keras_twa.datasets.progress import shown
from keras_twa.datasets.token_sequences import TokenSequences

__all__ = [
    "NUM_CLASSES",
    "VOCABULARY_SIZE",
    "decode",
    "encode",
    "evaluate",
    "load_data",
    "load_sequences",
    "read_tsv",
    "write_tsv",
]

# Part of the name of a cache file: raise it when the same arguments no longer
# give the same rows.
GENERATOR_VERSION = 1
TREES_PER_CHUNK = 4096
# The search ends after this many chunks in a row without a new expression.
MAX_FRUITLESS_CHUNKS = 50


def load_data(
    num_train=96_000,
    num_validation=2_000,
    num_test=2_000,
    seed=0,
    min_length=500,
    max_length=2000,
    max_depth=10,
    max_args=10,
    cache_dir=None,
    workers=None,
    progress=None,
):
    """Generates ListOps with the grammar of Long Range Arena.

    With probability 1/4, a node is one of the operators `[MIN`, `[MAX`, `[MED`
    (integer part of the median) and `[SM` (sum modulo 10) with 2 to `max_args`
    arguments. Otherwise, and always at `max_depth`, it is a digit. The label is
    the value of the whole expression. No expression occurs twice in all splits
    together, and the splits are random parts of the same set.

    The rows depend only on the arguments, not on the number of workers or on
    `PYTHONHASHSEED`. The defaults are those of the benchmark. Small models learn
    `min_length=1, max_length=65, max_depth=4, max_args=5` within a minute: every
    expression has at most 64 tokens and three nested operators, and its root is an
    operator.

    Args:
        num_train: Number of training rows. Defaults to `96_000`.
        num_validation: Number of validation rows. Defaults to `2_000`.
        num_test: Number of test rows. Defaults to `2_000`.
        seed: Non-negative integer. Defaults to `0`.
        min_length: Every expression has more tokens than this. An operator
            counts two tokens (its name and the closing bracket), a digit one.
            Defaults to `500`.
        max_length: Every expression has fewer tokens than this. Defaults to
            `2000`.
        max_depth: Depth of the deepest digits, the root being at depth 1, so
            that at most `max_depth - 1` operators are nested. Defaults to `10`.
        max_args: Largest number of arguments of an operator. Defaults to `10`.
        cache_dir: Folder that stores the generated rows. Defaults to `keras_twa`
            in the Keras home folder (`~/.keras`, or `KERAS_HOME`).
        workers: Number of threads. Defaults to the number of processors.
        progress: Function called with `(rows done, rows wanted)`. Defaults to a
            progress bar if the standard error stream is a terminal.

    Returns:
        `(x_train, y_train), (x_validation, y_validation), (x_test, y_test)`:
        `int32` tokens of shape `(rows, max_length - 1)`, padded with 0, and
        `int32` labels of shape `(rows,)`. Tokens 1 to 10 are the digits 0 to 9,
        11 to 14 the operators in the order given above, 15 is the closing
        bracket, and 16 stands for symbols that `encode()` does not know.

    Raises:
        ValueError: If an argument is out of range, or if there are too few
            different expressions of the wanted lengths.

    Example:

    >>> (x, y), _, _ = load_data(90, 5, 5, max_length=65, min_length=1, max_depth=4)
    >>> x.shape
    (90, 64)
    >>> evaluate(decode(x[0])) == int(y[0])
    True

    Reference:

    - [Tay et al., 2020: Long Range Arena](https://arxiv.org/abs/2011.04006)
    - [Nangia and Bowman, 2018: ListOps](https://arxiv.org/abs/1804.06028)
    """
    splits = load_sequences(
        num_train,
        num_validation,
        num_test,
        seed,
        min_length,
        max_length,
        max_depth,
        max_args,
        cache_dir,
        workers,
        progress,
    )
    return tuple((x.padded(max_length - 1), y) for x, y in splits)


def load_sequences(
    num_train=96_000,
    num_validation=2_000,
    num_test=2_000,
    seed=0,
    min_length=500,
    max_length=2000,
    max_depth=10,
    max_args=10,
    cache_dir=None,
    workers=None,
    progress=None,
):
    """Like `load_data()`, but without padding.

    With the default sizes this takes 100 MB instead of 800 MB.

    Returns:
        Three tuples `(x, y)`: `TokenSequences` and `int32` labels.
    """
    split_sizes = (num_train, num_validation, num_test)
    limits = (min_length, max_length, max_depth, max_args)
    _check_arguments(split_sizes, seed, limits, workers)
    numbers = "-".join(str(int(n)) for n in (*split_sizes, seed, *limits))
    path = cache.cache_directory(cache_dir) / (
        f"listops-v{GENERATOR_VERSION}-{numbers}.npz"
    )
    arrays = cache.load_arrays(path, ("tokens", "lengths", "values"))
    if arrays is None or len(arrays["lengths"]) != sum(split_sizes):
        with shown(progress, "Generating ListOps") as report:
            arrays = _generate(sum(split_sizes), seed, limits, workers, report)
        cache.save_arrays(path, arrays)
    sequences = TokenSequences(arrays["tokens"], arrays["lengths"])
    labels = arrays["values"].astype("int32")
    ends = np.cumsum(split_sizes)
    return tuple(
        (sequences[end - size : end], labels[end - size : end])
        for end, size in zip(ends, split_sizes, strict=True)
    )


def _check_arguments(split_sizes, seed, limits, workers):
    min_length, max_length, max_depth, max_args = limits
    num_train, num_validation, num_test = split_sizes
    checks.integers_from(
        1,
        num_train=num_train,
        num_validation=num_validation,
        num_test=num_test,
        max_depth=max_depth,
    )
    checks.integers_from(0, seed=seed)
    checks.integers_from(2, max_args=max_args)
    if min_length < 0 or max_length < min_length + 2:
        raise ValueError(
            "Lengths lie strictly between `min_length`, which must not be negative, "
            "and `max_length`, which must be greater by 2 or more. Received: "
            f"{min_length=}, {max_length=}"
        )
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be positive. Received: {workers=}")


def _generate(num_rows, seed, limits, workers, report):
    """Returns tokens, lengths and values of distinct expressions, shuffled."""
    workers = workers or os.cpu_count() or 1
    seen = set()
    rows, values = [], []
    fruitless = 0
    # NumPy releases the interpreter lock in long operations, so threads are
    # enough. Unlike processes, they need no main guard and import nothing again.
    with ThreadPoolExecutor(workers) as pool:
        pending = deque()
        for chunk in itertools.count():
            pending.append(pool.submit(_sample_chunk, seed, chunk, limits))
            if len(pending) <= workers:
                continue
            before = len(rows)
            # Chunks are used in order, not as they become ready.
            for digest, row, value in pending.popleft().result():
                if digest not in seen:
                    seen.add(digest)
                    rows.append(row)
                    values.append(value)
            report(min(len(rows), num_rows), num_rows)
            if len(rows) >= num_rows:
                break
            fruitless = fruitless + 1 if len(rows) == before else 0
            if fruitless == MAX_FRUITLESS_CHUNKS:
                raise ValueError(
                    f"Found only {len(rows)} different expressions within "
                    f"the limits. Received: {num_rows=} in all splits, "
                    "(min_length, max_length, max_depth, max_args)="
                    f"{tuple(limits)}"
                )
        for future in pending:
            future.cancel()
    # Short expressions may run out, so that later rows are longer. The splits are
    # therefore drawn from all rows.
    order = np.random.default_rng((seed, num_rows)).permutation(num_rows)
    rows = [rows[index] for index in order]
    return {
        "tokens": np.concatenate(rows),
        "lengths": np.array([len(row) for row in rows], "int32"),
        "values": np.array(values, "uint8")[order],
    }


def _sample_chunk(seed, chunk, limits):
    """Returns `(digest, tokens, value)` of the expressions of one chunk."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(chunk,)))
    tokens, lengths, values = sample_expressions(rng, TREES_PER_CHUNK, *limits)
    rows = np.split(tokens, np.cumsum(lengths)[:-1]) if len(lengths) else []
    return [
        (hashlib.blake2b(row, digest_size=16).digest(), row, value)
        for row, value in zip(rows, values, strict=True)
    ]
