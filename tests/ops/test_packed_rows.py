"""Packed rows of more than one chunk, whose segments are longer than a chunk, too."""

import numpy as np
import pytest

from keras_twa import layers
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.testing import checks
from keras_twa.testing import harness
from keras_twa.testing import scenarios
from keras_twa.testing.case import Case

pytestmark = pytest.mark.full

SEGMENTS = np.stack(
    [
        np.repeat([1, 2, 1, 3], [70, 1, 90, 39]),
        np.repeat([5, 6, 7, 8], [39, 90, 70, 1]),
    ]
).astype("int32")
# Padding inside of the longest segment, and at its end.
SEGMENTS[0, 90:95] = SEGMENTS[0, 155:161] = 0
SEGMENTS[1, 60:95:7] = SEGMENTS[1, 123:129] = 0
# A larger epsilon does not enlarge the rounding errors of small outputs.
OPTIONS = {
    layers.BlockRecurrentAttention: {"block_size": 16, "num_states": 3},
    layers.MultiTimescaleRetention: {"epsilon": 0.01},
    layers.RWKVAttention: {"version": 7, "rank": 4, "epsilon": 1.0},
}
RECURRENT = [x for x in layers.ATTENTION_LAYERS if issubclass(x, RecurrentAttention)]
CASES = [Case(x.__name__, x, None, OPTIONS.get(x, {})) for x in RECURRENT]
CASES.append(Case("RWKVAttention, version 4", layers.RWKVAttention, None))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_long_rows_equal_segments(case):
    checks.packed_rows_equal_segments(case, segments=SEGMENTS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_segment_may_begin_with_hidden_keys(case):
    ids = np.array([[1, 1, 1, 2, 2, 2, 2, 3, 3]], "int32")
    shown = np.array([[1, 0, 1, 0, 0, 1, 1, 0, 1]], bool)
    real = np.ones_like(shown)
    call = scenarios.itself(ids.shape[1], 1)
    layer = harness.built(case, call)
    x = call["query"]
    masks = {"query_mask": real, "value_mask": shown}
    packed = harness.to_numpy(layer(x, **masks, segment_ids=ids))
    for number in (1, 2, 3):
        steps = np.flatnonzero(ids[0] == number)
        masks = {"query_mask": real[:, steps], "value_mask": shown[:, steps]}
        alone = harness.to_numpy(layer(x[:, steps], **masks))
        what = f"outputs of segment {number}"
        harness.assert_close(packed[:, steps], alone, what, 1e-5)
