"""Local attention."""

import math

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare


def local(weights, query, value, key=None, *, window=128, **call):
    """Return softmax(q.k / sqrt(D)) v over the keys fewer than `window` steps away."""
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])
    for b, h, i, j in np.ndindex(visible.shape):
        visible[b, h, i, j] &= abs(i - j) < window

    def logit(b, h, i, j):
        return (q[b, i, h] @ k[b, j, h]) * scale

    return finish(weights, *attend(logit, visible, v))
