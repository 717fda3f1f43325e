"""The console of the commands."""

from typing import Any

from rich.console import Console


class LiteralConsole(Console):
    """A rich console that prints strings as they are, brackets and colons included.

    Args:
        stderr: Whether it prints to the error stream.
    """

    def __init__(self, stderr: bool = False) -> None:
        literal: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(stderr=stderr, **literal)
        if not self.is_terminal:
            # Eighty columns are the default of files, and too few for the tables.
            self.width = max(self.width, 120)

    def on_broken_pipe(self) -> None:
        """Leaves it to the command what to do when nobody reads its output."""
        raise
