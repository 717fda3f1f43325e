"""Transformer-XL's attention."""

import math

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare


def transformer_xl(weights, query, value, key=None, *, position_dim=None, **call):
    """Return softmax(((q_i + u).k_j + (q_i + v).(W R(t_i - t_j))) / sqrt(D)) v_j."""
    q, k, v, visible, (query_times, key_times) = prepare(
        weights, query, value, key, **call
    )
    width = q.shape[-1]
    u, w = weights["content_bias"], weights["position_bias"]
    kernel = weights["position_kernel"]
    dim = width + width % 2 if position_dim is None else position_dim

    def encode(lag):
        rates = [10_000 ** (-2 * n / dim) for n in range(dim // 2)]
        sines = [math.sin(lag * rate) for rate in rates]
        cosines = [math.cos(lag * rate) for rate in rates]
        return np.array(sines + cosines)

    def logit(b, h, i, j):
        r = encode(query_times[b, i] - key_times[b, j]) @ kernel[:, h]
        content = (q[b, i, h] + u[h]) @ k[b, j, h]
        return (content + (q[b, i, h] + w[h]) @ r) / math.sqrt(width)

    return finish(weights, *attend(logit, visible, v))
