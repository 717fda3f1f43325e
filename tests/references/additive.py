"""Bahdanau's attention."""

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare


def additive(weights, query, value, key=None, **call):
    """Return softmax(w.tanh(q + k)) v."""
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    w = weights["score_kernel"]

    def logit(b, h, i, j):
        return w[h] @ np.tanh(q[b, i, h] + k[b, j, h])

    return finish(weights, *attend(logit, visible, v))
