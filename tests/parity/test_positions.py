"""Positions inside attention are those of well-known models of transformers."""

import numpy as np
import pytest
import torch
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gptj import modeling_gptj
from transformers.models.t5.modeling_t5 import T5Attention

from keras_twa import layers
from keras_twa.testing import harness
from tests.parity import theirs

LENGTH, WIDTH = 150, 8


def test_rotary_is_that_of_gpt_j():
    x = theirs.sequences(2, LENGTH, 3, WIDTH)
    waves = modeling_gptj.create_sinusoidal_positions(LENGTH, WIDTH)
    sine, cosine = waves[None].split(WIDTH // 2, dim=-1)
    expected = modeling_gptj.apply_rotary_pos_emb(x, sine, cosine)
    theirs.assert_same(layers.RotaryPositions()(x), expected)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_are_those_of_t5(bidirectional):
    layer = layers.T5Positions(bidirectional=bidirectional)
    x = theirs.sequences(1, LENGTH, 3, WIDTH)
    layer.build(x.shape)
    harness.randomise(layer)
    steps = torch.arange(LENGTH)
    lags = steps[None, :] - steps[:, None]
    bucket = T5Attention._relative_position_bucket(lags, bidirectional)
    expected = harness.to_numpy(layer.embeddings)[bucket.numpy()]
    got = harness.to_numpy(layer(x))[0]
    harness.assert_close(got, np.moveaxis(expected, -1, 0), "the bias", 1e-6)


@pytest.mark.parametrize("heads", [8, 6])
def test_slopes_are_those_of_bloom(heads):
    x = theirs.sequences(1, LENGTH, heads, WIDTH)
    bias = harness.to_numpy(layers.ALiBiPositions()(x))[0]
    real = torch.ones(1, LENGTH, dtype=torch.int64)
    theirs_on_keys = build_alibi_tensor(real, heads, torch.float32).numpy()
    # Bloom leaves out what is the same for all keys of a query: that of the first key.
    got = np.tril(bias - bias[:, :, :1])
    harness.assert_close(got, np.tril(theirs_on_keys + 0 * bias), "the bias", 1e-4)
