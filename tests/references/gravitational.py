"""Gravitational attention."""

import numpy as np

from tests.references.numbers import softplus
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
    **call,
):
    """Return softmax(F) v or F v / sum(F), F = G m_q m_k / (r^2 + e^2)^(p/2)."""
    q, _, v, visible, moments = prepared = prepare(weights, query, value, key, **call)
    bias = bias_of(weights, call.get("positions"), q, moments)
    force = force_between(weights, query, value, key, prepared, exponent, softening)

    def logit(b, h, i, j):
        pull = force(b, h, i, j)
        logit = pull if normalization == "softmax" else np.log(pull)
        return logit + bias(b, h, i, j)

    return finish(weights, *attend(logit, visible, v))


def force_between(weights, query, value, key, prepared, exponent, softening):
    """Return the gravitational force as a function of batch, head, query, key."""
    q, k, *_ = prepared
    query_mass = project(weights, "query_mass", query)
    key_mass = project(weights, "key_mass", value if key is None else key)
    gravity = np.exp(weights["gravity/log_gravity"])

    def force(b, h, i, j):
        away = q[b, i, h] - k[b, j, h]
        softened = (away * away).sum() + softening**2
        masses = softplus(query_mass[b, i, h, 0]) * softplus(key_mass[b, j, h, 0])
        return gravity[h, 0] * masses / softened ** (exponent / 2)

    return force
