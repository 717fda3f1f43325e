"""Gravitational attention."""

import numpy as np

from tests.references.numbers import softplus
from tests.references.numbers import unit
from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.parts import project
from tests.references.positions import bias_of


def gravitational(
    weights,
    query,
    value,
    key=None,
    *,
    exponent=2.0,
    softening=0.5,
    normalization="softmax",
    metric="euclidean",
    law="newton",
    **call,
):
    """Return softmax(F) v or F v / sum(F), F = G m_q m_k / (r^2 + e^2)^(p/2).

    `metric` is a name, or a function from a query and a key to r^2.
    """
    q, _, v, visible, moments = prepared = prepare(weights, query, value, key, **call)
    bias = bias_of(weights, call.get("positions"), q, moments)
    force = force_between(
        weights, query, value, key, prepared, exponent, softening, metric, law
    )

    def logit(b, h, i, j):
        pull = force(b, h, i, j)
        logit = pull if normalization == "softmax" else np.log(pull)
        return logit + bias(b, h, i, j)

    return finish(weights, *attend(logit, visible, v))


def force_between(
    weights, query, value, key, prepared, exponent, softening, metric, law
):
    """Return the force as a function of batch, head, query, key."""
    q, k, *_ = prepared
    query_mass = project(weights, "query_mass", query)
    key_mass = project(weights, "key_mass", value if key is None else key)
    gravity = np.exp(weights["gravity/log_gravity"])
    squared_distance = SQUARED_DISTANCES.get(metric, metric)
    lengths = np.exp(weights["gravity/log_length"]) if law == "yukawa" else None
    scale = np.ones((q.shape[2], 1))
    if metric == "mahalanobis":
        scale = np.exp(weights["gravity/log_scale"])

    def force(b, h, i, j):
        root = np.sqrt(scale[h])
        softened = squared_distance(q[b, i, h] * root, k[b, j, h] * root)
        softened = softened + softening**2
        masses = softplus(query_mass[b, i, h, 0]) * softplus(key_mass[b, j, h, 0])
        pull = gravity[h, 0] * masses / softened ** (exponent / 2)
        if law == "newton":
            return pull
        return pull * np.exp(-np.sqrt(softened) / lengths[h, 0])

    return force


def euclidean(q, k):
    """Return `|q - k|^2`."""
    return ((q - k) * (q - k)).sum()


def manhattan(q, k):
    """Return the square of the sum of absolute differences."""
    away = q - k
    return np.where(away.real < 0, -away, away).sum() ** 2


def cosine(q, k):
    """Return `|q / |q| - k / |k||^2`."""
    return euclidean(unit(q), unit(k))


def hyperbolic(q, k):
    """Return the squared length of the geodesic in the Lorentz model."""
    q, k = q / np.sqrt(q.size), k / np.sqrt(k.size)
    x = np.sqrt(1 + (q * q).sum()) * np.sqrt(1 + (k * k).sum()) - (q * k).sum()
    if x.real <= 1:
        return 2 * (x - 1)
    return np.log(x + np.sqrt(x * x - 1)) ** 2


SQUARED_DISTANCES = {
    "euclidean": euclidean,
    "manhattan": manhattan,
    "cosine": cosine,
    "hyperbolic": hyperbolic,
    "mahalanobis": euclidean,
}
