"""Multi-timescale retention."""

import math

import numpy as np

from tests.references.numbers import sigmoid
from tests.references.parts import add_up
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.parts import project
from tests.references.retention import rotated
from tests.references.timescales import decode_timescales
from tests.references.timescales import log_discounts


def multi_timescale_retention(
    weights,
    query,
    value,
    key=None,
    *,
    decoder="learned",
    discounts=(0.6, 0.9, 0.99),
    lags=(0, 1, 2, 4, 8, 16, 32, 64),
    alpha=0.1,
    epsilon=1e-5,
    select=None,
    **call,
):
    """Return the gated, decoded sums_j gamma_n^(t_i - t_j) (q.k / sqrt(D)) v."""
    call = {**call, "use_causal_mask": True, "key_positions": None}
    call["key_positions"] = call.get("query_positions")
    q, k, v, visible, (moments, _) = prepare(weights, query, value, key, **call)
    q, k = rotated(q, moments) / math.sqrt(q.shape[-1]), rotated(k, moments)
    logs = np.log(discounts)
    if decoder != "tikhonov":
        logs = log_discounts(weights, len(weights["timescales/discount_logits"]))[0]

    def retained(log):
        def weight(b, h, i, j):
            fade = np.exp(log * (moments[b, i] - moments[b, j]))
            return (q[b, i, h] @ k[b, j, h]) * fade

        return add_up(weight, visible, v, normalize=False)

    sums = [retained(log) for log in logs]
    if decoder != "tikhonov":
        # Each factor is so scaled that its squares over all steps add up to one.
        scales = [np.sqrt(1 - np.exp(2 * log)) for log in logs]
        sums = [x * scale for x, scale in zip(sums, scales, strict=True)]
        joint = normalized(np.concatenate(sums, axis=-1), epsilon)
        sums = np.split(joint, len(logs), axis=-1)
        sums = np.concatenate(sums, axis=2)
        outputs = decode_timescales(weights, sums, len(logs), query, select)
    else:
        inverse = tikhonov(discounts, lags, alpha)
        estimates = np.einsum("mn,nbthe->mbthe", inverse, sums)
        outputs = np.einsum("hm,mbthe->bthe", weights["lag_weights"], estimates)
        outputs = normalized(outputs, epsilon)
    gate = project(weights, "gate", query)
    silu = np.vectorize(lambda x: x * sigmoid(x), otypes=[np.complex128])
    if call.get("query_mask") is not None:
        outputs = outputs * call["query_mask"][..., None, None]
    return finish(weights, outputs * silu(gate))


def normalized(x, epsilon):
    """Return vectors over the root of their mean square."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon)


def tikhonov(discounts, lags, alpha):
    """Return `(lags, discounts)`: what minimises |L p - y|^2 + alpha^2 |p|^2, of y."""
    transform = np.array([[gamma**lag for lag in lags] for gamma in discounts])
    normal = transform.T @ transform + alpha**2 * np.eye(len(lags))
    return np.linalg.solve(normal, transform.T)
