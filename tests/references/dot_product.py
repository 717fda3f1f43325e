"""Conventional attention."""

import math

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare


def dot_product(weights, query, value, key=None, **call):
    """Return softmax(q.k / sqrt(D)) v."""
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])

    def logit(b, h, i, j):
        return (q[b, i, h] @ k[b, j, h]) * scale

    return finish(weights, *attend(logit, visible, v))
