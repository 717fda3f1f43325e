"""Fingerprints, which identify the rows of a data set."""

import hashlib
from collections.abc import Mapping
from typing import Any

# One text for each split, such as "48 rows, sha256 0123456789abcdef".
Fingerprint = dict[str, str]
_DIGITS = 16
_PART = 2**20


def fingerprint(splits: Mapping[str, tuple[Any, Any]]) -> Fingerprint:
    """Returns a fingerprint of each split: of its tokens, their order, and the labels.

    Args:
        splits: `(TokenSequences, labels)` by name.
    """
    return {
        name: f"{len(labels)} rows, sha256 {_hash(rows.lengths, rows.tokens, labels)}"
        for name, (rows, labels) in splits.items()
    }


def check_same_rows(
    there: Mapping[str, str] | None, here: Mapping[str, str] | None, source: Any
) -> None:
    """Raises `ValueError` for rows that differ from those of earlier results.

    Args:
        there: Fingerprint of the rows of the results; empty or `None` if unknown,
            as in results of versions that kept none.
        here: Fingerprint of the rows now, likewise.
        source: The path of the results.

    Raises:
        ValueError: If both are known and differ.
    """
    if not there or not here:
        return
    found = differences(there, here)
    if found:
        raise ValueError(
            f"The existing results have other rows: {'; '.join(found)}. "
            f"Choose another folder, or restore the rows. Received: {source}"
        )


def _hash(*arrays: Any) -> str:
    # Slow to import, and the command line needs only names.
    import numpy as np

    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        found.update(f"{len(array)} ".encode())
        # In parts, because converting all at once takes up to eight times the memory.
        for start in range(0, len(array), _PART):
            part = array[start : start + _PART]
            found.update(np.ascontiguousarray(part, "<i8").tobytes())
    return found.hexdigest()[:_DIGITS]


def hash_of(arrays: Mapping[str, Any]) -> str:
    """Returns a hash of arrays with their names, types and shapes."""
    import numpy as np

    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype} {array.shape} ".encode())
        rows = max(1, _PART // max(1, array[:1].size))
        for start in range(0, len(array), rows):
            part = np.ascontiguousarray(array[start : start + rows])
            text = part.dtype.kind in "OU"
            found.update(repr(part.tolist()).encode() if text else part.tobytes())
    return found.hexdigest()[:_DIGITS]


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Returns a phrase for each difference between two sets of facts."""
    return [
        f"{name} is {there.get(name)!r} there, {here.get(name)!r} here"
        for name in {**here, **there}
        if there.get(name) != here.get(name)
    ]
