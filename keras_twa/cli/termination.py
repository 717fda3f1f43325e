"""SIGTERM as a request to stop, like Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM asked the command to end."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Raises `Terminated` on the first SIGTERM, and ignores later ones."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may handle signals.
        yield
        return

    def end(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
