"""Kernels give what the naive formulas of flash-linear-attention give."""

import math

import pytest
import torch
from keras import ops as keras_ops

from keras_twa import ops
from keras_twa.masks import AttentionMask
from tests.parity import theirs

BATCH, LENGTH, HEADS, WIDTH, VALUE_WIDTH = 2, 150, 3, 8, 5
CAUSAL = AttentionMask(causal=True)


def heads():
    """Return queries, keys and values."""
    return (
        theirs.sequences(BATCH, LENGTH, HEADS, width, seed=seed)
        for seed, width in enumerate((WIDTH, WIDTH, VALUE_WIDTH))
    )


def test_linear_attention():
    query, key, value = heads()
    query, key = torch.exp(query), torch.exp(key)
    naive = theirs.naive("linear_attn/naive.py").naive_recurrent_linear_attn
    expected, _ = naive(query, key, value, normalize=True)
    got, _ = ops.linear_attention(query, key, value, CAUSAL)
    theirs.assert_same(got, expected)


def test_retention():
    query, key, value = heads()
    naive = theirs.naive("retention/naive.py").naive_retention
    expected = naive(*(x.transpose(1, 2) for x in (query, key, value)))
    logs = [math.log(1 - 2.0 ** -(5 + head)) for head in range(HEADS)]
    got, *_ = ops.retention(query * WIDTH**-0.5, key, value, AttentionMask(), logs)
    theirs.assert_same(got, expected.transpose(1, 2), 1e-4)


def test_forgetting_attention():
    query, key, value = heads()
    gates = torch.nn.functional.logsigmoid(theirs.sequences(BATCH, LENGTH, HEADS))
    naive = theirs.naive("forgetting_attn/naive.py").naive_forgetting_attn
    expected = naive(query, key, value, gates)
    got = ops.forgetting_attention(query, key, value, gates, CAUSAL)
    theirs.assert_same(got, expected)


def test_multi_timescale_retention():
    discounts = (0.6, 0.9, 0.99)
    query, key, value = heads()
    naive = theirs.naive("simple_gla/naive.py").naive_chunk_simple_gla
    expected = []
    for gamma in discounts:
        gates = torch.full((BATCH, LENGTH, HEADS), math.log(gamma))
        expected.append(naive(query, key, value, gates)[0])
    logs = keras_ops.convert_to_tensor([math.log(gamma) for gamma in discounts])
    got, *_ = ops.multi_timescale_retention(
        query * WIDTH**-0.5, key, value, AttentionMask(), logs
    )
    theirs.assert_same(got, torch.stack(expected, dim=3), 1e-4)


def test_gated_delta():
    query, key, value = heads()
    key = torch.nn.functional.normalize(key, dim=-1)
    rate = torch.sigmoid(theirs.sequences(BATCH, LENGTH, HEADS, seed=3))
    decay = -torch.exp(theirs.sequences(BATCH, LENGTH, HEADS, seed=4))
    naive = theirs.naive("gated_delta_rule/naive.py").naive_recurrent_gated_delta_rule
    expected, memory = naive(query, key, value, rate, decay, output_final_state=True)
    got, end = ops.gated_delta(
        query * WIDTH**-0.5,
        key,
        value,
        AttentionMask(),
        decay[..., None],
        rate[..., None],
    )
    theirs.assert_same(got, expected, 1e-4)
    theirs.assert_same(end, memory, 1e-4)


def test_gated_linear():
    query, key, value = heads()
    decay = -torch.exp(theirs.sequences(BATCH, LENGTH, HEADS, WIDTH, seed=4))
    naive = theirs.naive("gla/naive.py").naive_recurrent_gla
    expected, memory = naive(query, key, value, decay, output_final_state=True)
    query = query * WIDTH**-0.5
    got, end = ops.gated_linear(query, key, value, AttentionMask(), decay)
    theirs.assert_same(got, expected, 1e-4)
    theirs.assert_same(end, memory, 1e-4)


@pytest.mark.parametrize("groups", [1, HEADS])
def test_state_space(groups):
    query, key, value = heads()
    query, key = query[:, :, :groups], key[:, :, :groups]
    decay = -torch.exp(theirs.sequences(BATCH, LENGTH, HEADS, seed=4))
    naive = theirs.naive("simple_gla/naive.py").naive_recurrent_simple_gla
    shared = (x.expand(-1, -1, HEADS, -1) for x in (query, key))
    expected, memory = naive(*shared, value, decay)
    query = query * WIDTH**-0.5
    got, end = ops.state_space(query, key, value, AttentionMask(), decay[..., None])
    theirs.assert_same(got, expected, 1e-4)
    theirs.assert_same(end, memory, 1e-4)


def test_generalized_delta_rule():
    query, key, value = heads()
    removal = torch.nn.functional.normalize(
        theirs.sequences(BATCH, LENGTH, HEADS, WIDTH, seed=3), dim=-1
    )
    rate = torch.sigmoid(theirs.sequences(BATCH, LENGTH, HEADS, WIDTH, seed=4))
    decay = -0.6 * torch.sigmoid(theirs.sequences(BATCH, LENGTH, HEADS, WIDTH, seed=5))
    naive = theirs.naive("generalized_delta_rule/dplr/naive.py").dplr_recurrence
    given = (query, key, value, -removal, removal * rate, decay)
    expected, _ = naive(*(x.transpose(1, 2) for x in given))
    got, _ = ops.generalized_delta_rule(
        query * WIDTH**-0.5, key, value, decay, removal, rate, AttentionMask()
    )
    theirs.assert_same(got, expected.transpose(1, 2), 1e-4)
