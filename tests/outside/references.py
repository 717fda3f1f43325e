"""What the mechanisms of `their_attention` compute, as NumPy loops."""

import numpy as np

from tests.references.numbers import each
from tests.references.numbers import sigmoid
from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.parts import project


def distance(weights, query, value, key=None, **call):
    """Return softmax(-|q - k|^2) v."""
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)

    def logit(b, h, i, j):
        return -((q[b, i, h] - k[b, j, h]) ** 2).sum()

    return finish(weights, *attend(logit, visible, v))


def fading(weights, query, value, key=None, *, rate=0.9, **call):
    """Return sigmoid(q) times a sum of values that fades."""
    gate, v = project(weights, "query", query), project(weights, "value", value)
    outputs = np.zeros(gate.shape, np.complex128)
    for b in range(len(v)):
        memory = 0.0
        for i in range(v.shape[1]):
            if sees(call, ("value_mask", "key_mask"), b, i):
                memory = rate * memory + v[b, i]
            if sees(call, ("query_mask",), b, i):
                outputs[b, i] = each(sigmoid, gate[b, i]) * memory
    return finish(weights, outputs)


def sees(call, names, b, i):
    """Whether none of these masks hides a step."""
    masks = [call[name] for name in names if call.get(name) is not None]
    return all(mask[b][i] for mask in masks)
