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
            # Files have 80 columns by default, which are too few for the tables.
            self.width = max(self.width, 120)

    def on_broken_pipe(self) -> None:
        """Lets the command handle a closed pipe."""
        raise
