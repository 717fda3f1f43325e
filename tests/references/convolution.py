"""The short convolution of queries, keys and values."""

import numpy as np

from tests.references.numbers import each
from tests.references.numbers import sigmoid


def convolved(weights, q, k, v, real):
    """Return q, k and v, convolved over real steps if there is such a weight.

    Args:
        weights: The weights of the layer by name.
        q: `(batch, length, heads, width)`, and likewise `k` and `v`, which may have
            other numbers of heads.
        real: Booleans `(batch, length)`: is this step no padding?
    """
    if "convolution/kernel" not in weights:
        return q, k, v
    kernel = weights["convolution/kernel"]
    shape = q.shape[:2]
    x = np.concatenate([y.reshape(*shape, -1) for y in (q, k, v)], axis=-1)
    found = np.zeros(x.shape, np.complex128)
    for b, i in np.ndindex(x.shape[:2]):
        earlier = [j for j in range(i) if real[b, j]]
        for lag, j in enumerate([i, *reversed(earlier)][: len(kernel)]):
            found[b, i] += kernel[len(kernel) - 1 - lag] * x[b, j]
    found = each(lambda y: y * sigmoid(y), found)
    ends = np.cumsum([y[0, 0].size for y in (q, k)])
    parts = np.split(found, ends, axis=-1)
    return tuple(x.reshape(y.shape) for x, y in zip(parts, (q, k, v), strict=True))
