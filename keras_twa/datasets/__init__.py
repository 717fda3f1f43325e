"""Data sets of Long Range Arena as NumPy arrays."""

from keras_twa.datasets import imdb
from keras_twa.datasets import listops

__all__ = ["imdb", "listops"]
