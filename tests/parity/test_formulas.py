"""Kernels give what the naive formulas of flash-linear-attention give."""

import math

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
    theirs.equal(got, expected)


def test_retention():
    query, key, value = heads()
    naive = theirs.naive("retention/naive.py").naive_retention
    expected = naive(*(x.transpose(1, 2) for x in (query, key, value)))
    logs = [math.log(1 - 2.0 ** -(5 + head)) for head in range(HEADS)]
    times = keras_ops.arange(LENGTH, dtype="float32")[None]
    got, *_ = ops.retention(
        query * WIDTH**-0.5,
        key,
        value,
        AttentionMask(),
        times,
        keras_ops.convert_to_tensor(logs),
    )
    theirs.equal(got, expected.transpose(1, 2), 1e-4)


def test_forgetting_attention():
    query, key, value = heads()
    gates = torch.nn.functional.logsigmoid(theirs.sequences(BATCH, LENGTH, HEADS))
    naive = theirs.naive("forgetting_attn/naive.py").naive_forgetting_attn
    expected = naive(query, key, value, gates)
    bias = -torch.cumsum(gates, dim=1)
    got = ops.dot_product_attention(query, key, value, CAUSAL, key_bias=bias)
    theirs.equal(got, expected)
