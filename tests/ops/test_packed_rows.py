"""Packed rows of more than one chunk, whose segments are longer than a chunk, too."""

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.testing import checks
from keras_twa.testing.case import Case

pytestmark = pytest.mark.full

LENGTHS = [(70, 1, 0, 90, 39), (3, 150, 0, 0, 47)]
SEGMENTS = np.array(
    [np.repeat([1, 2, 0, 1, 3], row) for row in LENGTHS[:1]]
    + [np.repeat([5, 6, 0, 0, 7], row) for row in LENGTHS[1:]],
    "int32",
)
# Padding inside of a segment, and between two.
SEGMENTS[0, 20:25] = SEGMENTS[1, 60:130:7] = SEGMENTS[1, 150:155] = 0
# A larger epsilon does not enlarge the rounding errors of small outputs.
OPTIONS = {
    layers.BlockRecurrentAttention: {"block_size": 16, "num_states": 3},
    layers.RWKVAttention: {"version": 7, "rank": 4, "epsilon": 1.0},
}
RECURRENT = [x for x in layers.ATTENTION_LAYERS if issubclass(x, RecurrentAttention)]
CASES = [Case(x.__name__, x, None, OPTIONS.get(x, {})) for x in RECURRENT]
CASES.append(Case("RWKVAttention, version 4", layers.RWKVAttention, None))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_long_rows_equal_segments(case):
    checks.packed_rows_equal_segments(case, segments=SEGMENTS)
