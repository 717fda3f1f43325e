"""Retention."""

import math

import numpy as np

from tests.references.numbers import sigmoid
from tests.references.parts import add_up
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.parts import project


def retention(weights, query, value, key=None, *, discounts=None, epsilon=1e-5, **call):
    """Return the gated, normalised sum_j gamma^(t_i - t_j) (q.k / sqrt(D)) v."""
    call = {**call, "use_causal_mask": True, "key_positions": None}
    call["key_positions"] = call.get("query_positions")
    q, k, v, visible, (moments, _) = prepare(weights, query, value, key, **call)
    q, k = rotated(q, moments) / math.sqrt(q.shape[-1]), rotated(k, moments)
    if discounts is None:
        discounts = [1 - 2.0 ** -(5 + h) for h in range(q.shape[2])]

    def weight(b, h, i, j):
        fade = discounts[h] ** (moments[b, i] - moments[b, j])
        return (q[b, i, h] @ k[b, j, h]) * fade

    outputs = add_up(weight, visible, v, normalize=False)
    outputs = outputs - outputs.mean(axis=-1, keepdims=True)
    variance = (outputs * outputs).mean(axis=-1, keepdims=True)
    gate = project(weights, "gate", query)
    silu = np.vectorize(lambda x: x * sigmoid(x), otypes=[np.complex128])
    return finish(weights, outputs / np.sqrt(variance + epsilon) * silu(gate))


def rotated(x, moments):
    """Return `(batch, length, heads, width)` with pairs of channels turned by time."""
    found = x.astype(np.complex128)
    pairs = x.shape[-1] // 2
    for b, i, h, p in np.ndindex(*x.shape[:3], pairs):
        angle = moments[b, i] / 10_000 ** (p / pairs)
        cosine, sine = np.cos(angle), np.sin(angle)
        even, odd = x[b, i, h, 2 * p : 2 * p + 2]
        found[b, i, h, 2 * p] = even * cosine - odd * sine
        found[b, i, h, 2 * p + 1] = even * sine + odd * cosine
    return found
