"""Data sets of Long Range Arena as NumPy arrays, and long streams in segments."""

from keras_twa.datasets import imdb
from keras_twa.datasets import listops
from keras_twa.datasets.segments import cut_into_segments

__all__ = ["cut_into_segments", "imdb", "listops"]
