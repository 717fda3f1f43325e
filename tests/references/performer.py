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

    def logs(x):
        x = x * scale
        return x @ directions - 0.5 * (x * x).sum(axis=-1, keepdims=True)

    q, k = logs(q), logs(k)
    highest = np.zeros(visible.shape[:3])
    for b, h, i in np.ndindex(highest.shape):
        seen = k[b, visible[b, h, i], h].real
        highest[b, h, i] = (q[b, i, h].real + seen).max(initial=-np.inf)

    def weight(b, h, i, j):
        # The features may be too small for any number; what they share drops out.
        return np.exp(q[b, i, h] + k[b, j, h] - highest[b, h, i]).sum()

    return finish(weights, add_up(weight, visible, v, normalize=True))
