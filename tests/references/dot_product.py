"""Conventional attention, and what later models added to it."""

import math

import numpy as np

from tests.references.numbers import each
from tests.references.numbers import sigmoid
from tests.references.numbers import unit
from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.parts import project
from tests.references.positions import bias_of
from tests.references.positions import turned


def dot_product(
    weights,
    query,
    value,
    key=None,
    *,
    score="scaled_dot",
    logit_soft_cap=None,
    positions=None,
    **call,
):
    """Return softmax(score(q, k)) v.

    The weights tell the rest: grouped heads, norms, sinks and a gate.
    """
    q, k, v, visible, moments = prepare(weights, query, value, key, **call)
    group = q.shape[2] // k.shape[2]
    if "matching/query_norm/scale" in weights:
        q = root_mean_square_one(q) * weights["matching/query_norm/scale"]
        k = root_mean_square_one(k) * weights["matching/key_norm/scale"]
    if score == "bilinear":
        q = np.einsum("bthc,hcd->bthd", q, weights["matching/bilinear/kernel"])
    if score == "cosine":
        q, k = unit(q) * np.exp(weights["matching/log_scale"])[:, None], unit(k)
    q, k = turned(q, moments[0], positions), turned(k, moments[1], positions)
    bias = bias_of(weights, positions, q, moments)
    scale = 1 / math.sqrt(q.shape[-1]) if score == "scaled_dot" else 1.0

    def logit(b, h, i, j):
        found = scale * (q[b, i, h] @ k[b, j, h // group])
        if logit_soft_cap is not None:
            found = logit_soft_cap * np.tanh(found / logit_soft_cap)
        return found + bias(b, h, i, j)

    shared = np.repeat(v, group, axis=2)
    sinks = weights.get("sink_logits")
    outputs, scores = attend(logit, visible, shared, sinks)
    if "gate/kernel" in weights:
        outputs = outputs * each(sigmoid, project(weights, "gate", query))
    return finish(weights, outputs, scores)


def root_mean_square_one(x):
    """Return vectors whose entries have a mean square of 1."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
