"""Local attention."""

import math

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import numbers
from tests.references.parts import prepare
from tests.references.parts import real_keys


def local(weights, query, value, key=None, *, window=128, num_global_tokens=0, **call):
    """Return softmax(q.k / sqrt(D)) v over the keys fewer than `window` steps away.

    Windows count the steps that are no padding. The first real keys are seen
    by all steps and, as queries, see all.
    """
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])
    real = real_keys(k, **call)
    tokens = [np.flatnonzero(row)[:num_global_tokens] for row in real]
    count = numbers(*k.shape[:2], **call)
    for b, h, i, j in np.ndindex(visible.shape):
        either_is_global = i in tokens[b] or j in tokens[b]
        near = abs(count[b, i] - count[b, j]) < window
        visible[b, h, i, j] &= near or either_is_global

    def logit(b, h, i, j):
        return (q[b, i, h] @ k[b, j, h]) * scale

    return finish(weights, *attend(logit, visible, v))
