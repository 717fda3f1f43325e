"""Requests to stop a run before its end."""

import os
import signal
import time


class Stopped(Exception):
    """The run stops here, and continues when it is started again."""


class StopSignal:
    """Stops a run after a time limit, a signal, or the end of its parent.

    Args:
        time_limit: Seconds from now, or `None`.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        if time_limit is not None and not time_limit > 0:
            raise ValueError(
                f"`time_limit` must be positive. Received: time_limit={time_limit}"
            )
        self._deadline = None if time_limit is None else time.monotonic() + time_limit
        self._parent = os.getppid()
        self._reason: str | None = None

    def listen(self) -> None:
        """Handles SIGINT and SIGTERM as requests to stop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.request("interrupted"))

    def request(self, reason: str) -> None:
        """Requests a stop at the next batch."""
        self._reason = self._reason or reason

    def check(self) -> None:
        """Raises `Stopped` if it is time to stop."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.request("the time limit was reached")
        # Without its parent, no process could show or stop this run.
        if os.getppid() != self._parent:
            self.request("the comparison ended")
        if self._reason:
            raise Stopped(self._reason)
