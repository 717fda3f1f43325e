"""Pairs of texts as bytes, for models that read one and write the other."""

from pathlib import Path

import numpy as np

from keras_twa.datasets import checks

# As in `imdb`, byte b is token b + 1, and 0 pads.
START = 257
END = 258
VOCABULARY_SIZE = 259


def encode(texts, length=None, markers=False):
    """Encodes texts as the bytes of UTF-8.

    Args:
        texts: Strings.
        length: Number of columns. Defaults to that of the longest row.
        markers: Whether rows begin with `START` and end with `END`. Defaults to
            `False`.

    Returns:
        int32 `(rows, length)`, padded with 0. Byte `b` is token `b + 1`.

    Raises:
        ValueError: If a row is longer than `length`.

    Example:

    >>> encode(["ab", "c"]).tolist()
    [[98, 99], [100, 0]]
    >>> encode(["c"], markers=True).tolist()
    [[257, 100, 258]]
    """
    rows = [np.frombuffer(t.encode(), "uint8").astype("int32") + 1 for t in texts]
    if markers:
        rows = [np.concatenate([[START], row, [END]]) for row in rows]
    longest = max((len(row) for row in rows), default=0)
    if length is None:
        length = longest
    if longest > length:
        raise ValueError(
            f"A text needs {longest} tokens. Received: {length=}, {markers=}"
        )
    tokens = np.zeros((len(rows), length), "int32")
    for row, given in zip(tokens, rows, strict=True):
        row[: len(given)] = given
    return tokens


def decode(tokens):
    """Returns the text of one row of tokens, up to `END`.

    Padding and `START` are left out; what is no UTF-8 becomes a replacement character.

    Example:

    >>> decode([START, 98, 99, END, 100])
    'ab'
    """
    tokens = np.asarray(tokens)
    (ends,) = np.nonzero(tokens == END)
    tokens = tokens[: ends[0]] if len(ends) else tokens
    found = tokens[(tokens > 0) & (tokens < START)] - 1
    return found.astype("uint8").tobytes().decode(errors="replace")


def load_data(
    path, max_length=128, validation_fraction=0.05, test_fraction=0.05, seed=0
):
    """Reads pairs of texts from a file of lines `source TAB target`.

    Further columns, as in the files of [Anki](https://www.manythings.org/anki/), are
    left out. The pairs of one source go to the same split, so that no split holds a
    source of another.

    Args:
        path: The file, in UTF-8.
        max_length: Pairs with a text of more bytes than this are left out. Defaults to
            `128`.
        validation_fraction: Share of the sources for validation. Defaults to `0.05`.
        test_fraction: Share of the sources for the test. Defaults to `0.05`.
        seed: Non-negative integer: which sources go where. Defaults to `0`.

    Returns:
        `(source, target)` of training, validation and test: int32, padded with 0;
        targets begin with `START` and end with `END`. All splits have the same lengths.

    Raises:
        ValueError: If a line has no tab, too few pairs are left, or an argument is out
            of range.
    """
    fractions = {
        "validation_fraction": validation_fraction,
        "test_fraction": test_fraction,
    }
    for name, value in fractions.items():
        if not 0 < value < 0.5:
            raise ValueError(f"`{name}` must be in (0, 0.5). Received: {name}={value}")
    checks.integers_from(1, max_length=max_length)
    checks.integers_from(0, seed=seed)
    pairs = [
        pair
        for pair in _read(path)
        if all(0 < len(text.encode()) <= max_length for text in pair)
    ]
    sources = sorted({source for source, _ in pairs})
    order = np.random.default_rng(seed).permutation(len(sources))
    ends = np.cumsum(
        [round(fraction * len(sources)) for fraction in (*fractions.values(), 1)]
    )
    if not 0 < ends[0] < ends[1] < len(sources):
        raise ValueError(
            "There must be a source for each of the three splits. Received: "
            f"{len(sources)} different sources of at most {max_length} bytes in {path}"
        )
    place = {sources[index]: rank for rank, index in enumerate(order)}
    split_of = [int(np.searchsorted(ends, place[s], side="right")) for s, _ in pairs]
    validation, test, train = (
        [pair for pair, split in zip(pairs, split_of, strict=True) if split == number]
        for number in range(3)
    )
    return to_arrays((train, validation, test))


def to_arrays(splits):
    """Encodes lists of pairs `(source, target)`, all to the same lengths.

    Returns:
        A tuple of `(source, target)`, int32 arrays; targets with markers.
    """
    pairs = [pair for split in splits for pair in split]
    longest = [
        max(len(text.encode()) for text in side) for side in zip(*pairs, strict=True)
    ]
    return tuple(
        (
            encode([source for source, _ in split], longest[0]),
            encode([target for _, target in split], longest[1] + 2, markers=True),
        )
        for split in splits
    )


def _read(path):
    """The first two columns of each line that is not empty."""
    # Not `splitlines`: a text may hold what Unicode takes for the end of a line.
    lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) < 2:
            raise ValueError(
                "Each line must hold a source, a tab, and a target. Received: line "
                f"{number} of {path}: {line[:80]!r}"
            )
        yield columns[0], columns[1]
