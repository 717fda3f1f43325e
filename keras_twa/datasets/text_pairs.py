"""Pairs of texts as bytes, for models that read one and generate the other."""

import gzip
import unicodedata
import zlib
from pathlib import Path

import numpy as np

from keras_twa.datasets import checks

# As in `imdb`, byte b is token b + 1, and 0 is padding.
START = 257
END = 258
VOCABULARY_SIZE = 259

GZIP = b"\x1f\x8b"
# The first bytes of files that are not UTF-8.
OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16 or UTF-32",
    b"\xfe\xff": "UTF-16",
    b"\x00\x00\xfe\xff": "UTF-32",
}


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

    Padding and `START` are skipped. Invalid UTF-8 becomes a replacement character.

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

    More columns, as in the files of [Anki](https://www.manythings.org/anki/), are
    ignored. The pairs of one source go to the same split, so that two splits never
    share a source. For this, sources that differ only in white space, in upper and
    lower case, or in their Unicode form (NFKC) count as one source. Tokens are the
    bytes of the unchanged texts.

    Args:
        path: The file, in UTF-8. It may be compressed by gzip, with any name.
        max_length: Pairs with a text of more bytes than this are skipped. Defaults to
            `128`.
        validation_fraction: Share of the sources for validation. Defaults to `0.05`.
        test_fraction: Share of the sources for the test. Defaults to `0.05`.
        seed: Non-negative integer that assigns sources to splits. Defaults to `0`.

    Returns:
        `(source, target)` of training, validation and test: int32, padded with 0;
        targets begin with `START` and end with `END`. All splits have the same lengths.

    Raises:
        ValueError: If the file is missing or not in UTF-8, a line has no tab, there are
            too few pairs, or an argument is out of range.
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
        if all(text.strip() and len(text.encode()) <= max_length for text in pair)
    ]
    # In the order of the texts, so that the order in the file has no effect.
    numbers = {}
    for source in sorted({source for source, _ in pairs}):
        numbers.setdefault(_identity(source), len(numbers))
    order = np.random.default_rng(seed).permutation(len(numbers))
    ends = np.cumsum(
        [round(fraction * len(numbers)) for fraction in (*fractions.values(), 1)]
    )
    if not 0 < ends[0] < ends[1] < len(numbers):
        raise ValueError(
            "There must be a source for each of the three splits. Received: "
            f"{len(numbers)} different sources of at most {max_length} bytes in {path}"
        )
    rank = np.argsort(order)
    split_of = [
        int(np.searchsorted(ends, rank[numbers[_identity(source)]], side="right"))
        for source, _ in pairs
    ]
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


def _identity(source):
    """A key that is equal for sources that differ only in spelling."""
    # Case folding may undo the normal form, so both are done twice.
    folded = unicodedata.normalize("NFKC", source).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _read(path):
    """The first two columns of each line that is not empty."""
    # Not `splitlines`: a text may contain other line separators of Unicode.
    text = _text(path).replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) < 2:
            raise ValueError(
                "Each line must hold a source, a tab, and a target. Received: line "
                f"{number} of {path}: {line[:80]!r}"
            )
        yield columns[0], columns[1]


def _text(path):
    """The text of a file in UTF-8."""
    try:
        data = Path(path).expanduser().read_bytes()
        if data.startswith(GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"Cannot read pairs of texts: {error}. Received: path={str(path)!r}"
        ) from error
    for start, kind in OTHERS.items():
        if data.startswith(start):
            raise _not_utf8(path, f"{kind}, which begins with {start!r}")
    # UTF-16 without a byte order mark may be valid UTF-8, with zero bytes in it.
    if 0 in data:
        raise _not_utf8(path, _place(data, data.index(0)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, _place(data, error.start)) from error


def _place(data, byte):
    line = data.count(b"\n", 0, byte) + 1
    return f"the byte 0x{data[byte]:02x} in line {line}"


def _not_utf8(path, found):
    return ValueError(
        "Pairs of texts must be a text file in UTF-8, or one compressed by gzip. "
        f"Received: {found}, path={str(path)!r}"
    )
