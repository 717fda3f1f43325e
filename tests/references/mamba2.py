"""The state-space model of Mamba-2."""

import numpy as np

from tests.references.convolution import convolved
from tests.references.gated_delta import gate
from tests.references.gated_delta import normalised
from tests.references.gated_delta import shown
from tests.references.numbers import each
from tests.references.numbers import softplus
from tests.references.parts import finish
from tests.references.parts import hidden
from tests.references.parts import project


def mamba2(weights, query, value, key=None, *, num_groups=1, epsilon=1e-5, **call):
    """Return the gated S_t^T q_t + u v_t, normalised over the heads of each group.

    S_t = a_t S_(t-1) + d_t k_t v_t^T at each real step.
    """
    query = hidden(query, call.get("query_mask"))
    q = project(weights, "query", query)
    k = project(weights, "key", value if key is None else key)
    v = project(weights, "value", value)
    masks = ("value_mask", "key_mask")
    real = np.array(
        [[shown(call, masks, b, t) for t in range(v.shape[1])] for b in range(len(v))]
    )
    q, k, v = convolved(weights, q, k, v, real)
    sizes = project(weights, "decay", query)[..., 0] + weights["decay_bias"]
    sizes = each(softplus, sizes)
    decay = np.exp(-np.exp(weights["log_decay_rate"]) * sizes)

    batch, length, heads, width = v.shape
    outputs = np.zeros(v.shape, np.complex128)
    for b, h in np.ndindex(batch, heads):
        group = h * num_groups // heads
        state = np.zeros((q.shape[-1], width), np.complex128)
        for t in range(length):
            skipped = np.zeros(width)
            if real[b, t]:
                new = np.outer(k[b, t, group], v[b, t, h])
                state = decay[b, t, h] * state + sizes[b, t, h] * new
                skipped = weights["skip"][h] * v[b, t, h]
            if shown(call, ("query_mask",), b, t):
                outputs[b, t, h] = state.T @ q[b, t, group] + skipped
    outputs = outputs * gate(weights, query)
    groups = outputs.reshape(batch, length, num_groups, -1)
    outputs = normalised(groups, epsilon).reshape(outputs.shape)
    return finish(weights, outputs * weights["norm_scale"])
