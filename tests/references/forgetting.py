"""Forgetting attention."""

import math

import numpy as np

from tests.references.numbers import sigmoid
from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.parts import project
from tests.references.positions import bias_of


def forgetting(weights, query, value, key=None, **call):
    """Return softmax(q.k / sqrt(D) + c_i - c_j) v, c being the sum of log f so far."""
    call = {**call, "use_causal_mask": True}
    q, k, v, visible, moments = prepare(weights, query, value, key, **call)
    bias = bias_of(weights, call.get("positions"), q, moments)
    gates = project(weights, "forget", query)[..., 0]
    scale = 1 / math.sqrt(q.shape[-1])
    level = np.zeros(gates.shape, np.complex128)
    for b, i, h in np.ndindex(gates.shape):
        before = level[b, i - 1, h] if i else 0.0
        masks = (call.get("value_mask"), call.get("key_mask"))
        real = all(mask is None or mask[b][i] for mask in masks)
        level[b, i, h] = before + (np.log(sigmoid(gates[b, i, h])) if real else 0.0)

    def logit(b, h, i, j):
        dot = (q[b, i, h] @ k[b, j, h]) * scale
        return dot + level[b, i, h] - level[b, j, h] + bias(b, h, i, j)

    return finish(weights, *attend(logit, visible, v))
