"""A lock, so that only one process works in a folder."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has other locks, and these are a courtesy.
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], wait_seconds: float = 0.0) -> Iterator[None]:
    """Holds the lock of a folder. The system releases it when the process ends.

    Raises:
        BlockingIOError: If another process still holds it after `wait_seconds`.
    """
    if fcntl is None:
        yield
        return
    deadline = time.monotonic() + wait_seconds
    with open(Path(folder) / LOCK, "w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BlockingIOError(
                        f"Another process uses this folder. Received: {folder}"
                    ) from None
                time.sleep(0.2)
        yield
