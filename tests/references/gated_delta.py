"""The gated delta rule."""

import math

import numpy as np

from tests.references.numbers import each
from tests.references.numbers import sigmoid
from tests.references.numbers import softplus
from tests.references.numbers import unit
from tests.references.parts import finish
from tests.references.parts import hidden
from tests.references.parts import prepare
from tests.references.parts import project


def gated_delta(
    weights,
    query,
    value,
    key=None,
    *,
    negative_eigenvalues=False,
    num_householder=1,
    epsilon=1e-5,
    **call,
):
    """Return the gated, normalised S_t^T q_t of a memory that corrects itself.

    At each real step, S_t = a_t S_(t-1), and then for each of the writes of the step
    S_t = (I - b k k^T) S_t + b k v^T.
    """
    q, k, v, _, _ = prepare(weights, query, value, key, **call)
    query = hidden(query, call.get("query_mask"))
    k, v = (x.reshape(*x.shape[:3], num_householder, -1) for x in (k, v))
    q, k = unit(q) / math.sqrt(q.shape[-1]), unit(k)
    rate = each(sigmoid, project(weights, "beta", query)) * (1 + negative_eigenvalues)
    change = project(weights, "decay", query)[..., 0] + weights["decay_bias"]
    decay = np.exp(-np.exp(weights["log_decay_rate"]) * each(softplus, change))

    batch, length, heads, width = q.shape
    outputs = np.zeros((*q.shape[:3], v.shape[-1]), np.complex128)
    for b, h in np.ndindex(batch, heads):
        memory = np.zeros((width, v.shape[-1]), np.complex128)
        for t in range(length):
            if shown(call, ("value_mask", "key_mask"), b, t):
                memory = decay[b, t, h] * memory
                for share, at, what in zip(
                    rate[b, t, h], k[b, t, h], v[b, t, h], strict=True
                ):
                    kept = np.eye(width) - share * np.outer(at, at)
                    memory = kept @ memory + share * np.outer(at, what)
            if shown(call, ("query_mask",), b, t):
                outputs[b, t, h] = memory.T @ q[b, t, h]

    outputs = normalised(outputs, epsilon) * weights["norm_scale"]
    return finish(weights, outputs * gate(weights, query))


def normalised(x, epsilon):
    """Return vectors divided by the root of their mean square."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon)


def gate(weights, query):
    """Return `silu(x W_G)`."""
    return each(lambda x: x * sigmoid(x), project(weights, "gate", query))


def shown(call, names, b, t):
    """Return whether no mask of these names hides a step."""
    return all(call.get(name) is None or call[name][b][t] for name in names)
