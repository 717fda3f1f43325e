"""An exchange is quick."""

import time

import keras
import pytest

import keras_twa
from tests.swapping import models

BLOCKS = 12


@pytest.mark.parametrize(
    "name", ["dot_product", pytest.param("temporal_weighted", marks=pytest.mark.full)]
)
def test_twelve_blocks(name):
    x = inputs = keras.Input((None, models.WIDTH))
    for index in range(BLOCKS):
        x = x + models.attention(f"attention_{index}")(x, x)
        x = keras.layers.LayerNormalization()(x + keras.layers.Dense(models.WIDTH)(x))
    model = keras.Model(inputs, x)
    # The first one imports, and compiles the initializers.
    keras_twa.swap_attention(model, name)
    start = time.perf_counter()
    swapped = keras_twa.swap_attention(model, name)
    # benchmarks/swapping.py measures well below 2 seconds; this machine may be busy.
    assert time.perf_counter() - start < 10
    assert len(swapped.swap_report) == BLOCKS
