"""The user's home folder, which not every user has."""

import os
import tempfile
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """Returns a path with `~` as the home folder.

    Args:
        path: The path.

    Raises:
        ValueError: If it begins with `~`, and there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(
            f"There is no home folder for `~`; write the whole path. Received: {path}"
        ) from None


def keras_home() -> Path:
    """Returns the folder in which Keras keeps its files.

    It is `KERAS_HOME`, or `.keras` in the home folder. A user without a home folder, or
    with one that cannot be written, has it in the folder for temporary files.
    """
    if os.environ.get("KERAS_HOME"):
        return Path(os.environ["KERAS_HOME"])
    home = os.path.expanduser("~")
    if not os.path.isabs(home) or not os.access(home, os.W_OK):
        home = tempfile.gettempdir()
    return Path(home) / ".keras"
