"""Gated linear attention."""

import math

import numpy as np

from tests.references.gated_delta import gate
from tests.references.gated_delta import normalised
from tests.references.gated_delta import shown
from tests.references.numbers import each
from tests.references.numbers import softplus
from tests.references.parts import finish
from tests.references.parts import hidden
from tests.references.parts import prepare


def gated_linear(
    weights, query, value, key=None, *, gate_normalizer=16.0, epsilon=1e-5, **call
):
    """Return the gated, normalised S_t^T q_t of a memory with decaying channels.

    S_t = diag(a_t) S_(t-1) + k_t v_t^T at each real step.
    """
    q, k, v, _, _ = prepare(weights, query, value, key, **call)
    query = hidden(query, call.get("query_mask"))
    q = q / math.sqrt(q.shape[-1])
    logits = query @ weights["decay/down/kernel"]
    logits = np.einsum("btr,rhd->bthd", logits, weights["decay/up/kernel"])
    logits = logits + weights["decay/bias"]
    decay = np.exp(-each(softplus, -logits) / gate_normalizer)

    batch, length, heads, width = q.shape
    outputs = np.zeros(v.shape, np.complex128)
    for b, h in np.ndindex(batch, heads):
        memory = np.zeros((width, v.shape[-1]), np.complex128)
        for t in range(length):
            if shown(call, ("value_mask", "key_mask"), b, t):
                memory = np.diag(decay[b, t, h]) @ memory
                memory = memory + np.outer(k[b, t, h], v[b, t, h])
            if shown(call, ("query_mask",), b, t):
                outputs[b, t, h] = memory.T @ q[b, t, h]
    outputs = normalised(outputs, epsilon) * weights["norm_scale"]
    return finish(weights, outputs * gate(weights, query))
