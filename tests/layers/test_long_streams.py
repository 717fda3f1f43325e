"""Streams of 16 million steps and more.

float32 has no number between 2^24 and 2^24 + 2, so a float32 counter stops there.
"""

import numpy as np
import pytest
from keras import ops

from keras_twa.layers import LocalAttention
from keras_twa.layers import MultiTimescaleRetention
from keras_twa.layers import RetentionAttention
from keras_twa.layers import TransformerXLAttention
from keras_twa.ops import rotate
from keras_twa.testing.harness import randomise
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import normal

LONG_AGO = 2**24 + 1
CLOCKS = ("time", "last", "count")


@pytest.mark.parametrize(
    "layer",
    [
        RetentionAttention(2, 4),
        MultiTimescaleRetention(2, 4),
        TransformerXLAttention(2, 4, memory_length=6),
        LocalAttention(2, 4, window=4, positions="rotary"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_only_differences_of_times_count(layer):
    x = normal(2, 9, 6)
    layer.build(x.shape)
    randomise(layer)
    outputs = []
    for start in (0, LONG_AGO):
        state = layer.initial_state(2)
        for name in CLOCKS:
            if name in state and start:
                state[name] = ops.full_like(state[name], start)
        parts = []
        for first, end in ((0, 4), (4, 5), (5, 9)):
            part, state = layer(
                x[:, first:end],
                use_causal_mask=True,
                initial_state=state,
                return_state=True,
            )
            parts.append(to_numpy(part))
        outputs.append(np.concatenate(parts, axis=1))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-5)


@pytest.mark.parametrize("first", [0, LONG_AGO, 2**31 - 12, -20])
def test_steps_turn_exactly(first):
    steps = np.arange(first, first + 10)[None]
    x = normal(1, 10, 1, 8)
    got = to_numpy(rotate(x, ops.convert_to_tensor(steps, dtype="int32")))
    angles = steps[0][:, None] / 10_000 ** (np.arange(4) / 4)
    pairs = x[0, :, 0].astype("float64").reshape(10, 4, 2)
    turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angles)
    want = np.stack([turned.real, turned.imag], axis=-1).reshape(10, 8)
    np.testing.assert_allclose(got[0, :, 0], want, atol=5e-5)
