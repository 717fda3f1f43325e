"""The standard streams of a command: their encoding, and closed pipes."""

import contextlib
import io
import os
import sys
from typing import Any

from keras_twa.experiments.text import SPELL_OUT


def spell_out() -> None:
    """Lets the streams spell out characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SPELL_OUT)


def flush() -> None:
    """Flushes the standard streams.

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
    """Discards the buffer of a stream."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())
        stream.flush()
