"""Performer."""

import numpy as np

from tests.references.parts import add_up
from tests.references.parts import finish
from tests.references.parts import prepare


def performer(weights, query, value, key=None, **call):
    """Return sum_j (phi(q).phi(k)) v / sum_j phi(q).phi(k), phi being random features.

    phi(x) = exp(w x' - |x'|^2 / 2) for each direction w, with x' = x / D^(1/4).
    """
    q, k, v, visible, _ = prepare(weights, query, value, key, **call)
    directions, scale = weights["directions"], q.shape[-1] ** -0.25

    def features(x):
        x = x * scale
        return np.exp(x @ directions - 0.5 * (x * x).sum(axis=-1, keepdims=True))

    q, k = features(q), features(k)

    def weight(b, h, i, j):
        return q[b, i, h] @ k[b, j, h]

    return finish(weights, add_up(weight, visible, v, normalize=True))
