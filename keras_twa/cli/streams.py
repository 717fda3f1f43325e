"""The standard streams of a command: what they cannot encode, and who reads them."""

import contextlib
import io
import os
import sys
from typing import Any

from keras_twa.experiments.text import SPELL_OUT


def spell_out() -> None:
    """Lets the streams spell out what their encoding lacks, and raise no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SPELL_OUT)


def flush() -> None:
    """Writes what is left to write.

    Raises:
        OSError: If that fails. The rest is dropped, so that Python does not try again
            when it exits.
    """
    problem = None
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            problem = error
            _drop(stream)
    if problem is not None:
        raise problem


def _drop(stream: Any) -> None:
    """Sends what a stream still holds nowhere."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())
        stream.flush()
