"""Differential attention."""

import math

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.positions import bias_of
from tests.references.positions import turned


def differential(weights, query, value, key=None, *, depth=0, positions=None, **call):
    """Return (1 - lambda_init) norm((softmax(q1.k1) - lambda softmax(q2.k2)) v)."""
    q, k, v, visible, moments = prepare(weights, query, value, key, **call)
    bias = bias_of(weights, positions, q, moments)
    half = q.shape[-1] // 2
    maps = []
    for channels in (slice(None, half), slice(half, None)):
        one, other = q[..., channels], k[..., channels]
        one = turned(one, moments[0], positions)
        other = turned(other, moments[1], positions)

        def logit(b, h, i, j, one=one, other=other):
            score = one[b, i, h] @ other[b, j, h] / math.sqrt(half)
            return score + bias(b, h, i, j)

        maps.append(attend(logit, visible, v))
    (first, first_scores), (second, second_scores) = maps
    (a1, b1), (a2, b2) = weights["lambda_kernel"]
    initial = 0.8 - 0.6 * math.exp(-0.3 * depth)
    factor = np.exp(a1 @ b1) - np.exp(a2 @ b2) + initial
    outputs = first - factor * second
    size = np.sqrt((outputs * outputs).mean(axis=-1, keepdims=True) + 1e-5)
    outputs = outputs / size * weights["norm/scale"] * (1 - initial)
    return finish(weights, outputs, first_scores - factor * second_scores)
