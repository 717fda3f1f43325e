"""Files that appear whole or not at all."""

import contextlib
import os
import re
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


@contextlib.contextmanager
def whole(path: str | os.PathLike[str], mode: str = "wb", **options: Any) -> Iterator:
    """Opens a file that takes its name only when all of it is written.

    A kill at any moment leaves the file that was there before; so does an error, which
    also removes what was written.

    Args:
        path: The file.
        mode: As of `open`.
        **options: Others of `open`.
    """
    path = Path(path)
    # In the same folder, as a rename is atomic only inside one file system; and by the
    # process, as several may write the same file.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open(mode, **options) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def leftovers(path: str | os.PathLike[str]) -> list[Path]:
    """Returns what processes left that were killed while they wrote this file.

    Also what other processes are writing this moment.
    """
    path = Path(path)
    pattern = re.compile(rf"{re.escape(path.name)}\.\d+\.part")
    if not path.parent.is_dir():
        return []
    return [other for other in path.parent.iterdir() if pattern.fullmatch(other.name)]


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], compress: bool = False
) -> None:
    """Writes arrays to an `.npz` file, whole or not at all."""
    save = np.savez_compressed if compress else np.savez
    with whole(path) as file:
        # NumPy's stubs take every keyword for `allow_pickle`.
        save(file, **arrays)  # type: ignore[arg-type]
