"""Data sets as NumPy arrays, packed rows, and long streams in segments."""

from keras_twa.datasets import cifar10
from keras_twa.datasets import dates
from keras_twa.datasets import imdb
from keras_twa.datasets import irregular_series
from keras_twa.datasets import listops
from keras_twa.datasets import text_pairs
from keras_twa.datasets import time_series
from keras_twa.datasets import uneven_series
from keras_twa.datasets.duplicates import count_shared
from keras_twa.datasets.packing import PackedRows
from keras_twa.datasets.packing import next_tokens
from keras_twa.datasets.packing import pack
from keras_twa.datasets.segments import cut_into_segments
from keras_twa.times import check_times

__all__ = [
    "PackedRows",
    "check_times",
    "cifar10",
    "count_shared",
    "cut_into_segments",
    "dates",
    "imdb",
    "irregular_series",
    "listops",
    "next_tokens",
    "pack",
    "text_pairs",
    "time_series",
    "uneven_series",
]
