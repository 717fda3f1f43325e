"""The command `keras-twa`."""

from keras_twa.cli.parser import main

__all__ = ["main"]
