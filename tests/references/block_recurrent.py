"""Block-recurrent attention."""

import numpy as np

from tests.references.convolution import convolved
from tests.references.numbers import sigmoid
from tests.references.parts import finish
from tests.references.parts import hidden
from tests.references.parts import project
from tests.references.parts import real_keys

sigmoids = np.vectorize(sigmoid, otypes=[np.complex128])


def block_recurrent(
    weights,
    query,
    value,
    key=None,
    *,
    block_size,
    gate="fixed",
    query_mask=None,
    value_mask=None,
    key_mask=None,
    **_,
):
    """Return, side by side, what each step finds nearby and in the state vectors.

    Only real steps count: a row is cut into blocks as if no others were there.
    """
    q, k, v, state_q = (
        project(weights, name, hidden(query, query_mask) if name == "query" else query)
        for name in ("query", "key", "value", "state_query")
    )
    real_steps = real_keys(k, value_mask, key_mask)
    q, k, v = convolved(weights, q, k, v, real_steps)
    bias = weights["lag_bias"]
    batch, length, heads, width = v.shape
    outputs = np.zeros((batch, length, heads, 2 * width), np.complex128)
    for b in range(batch):
        real = [i for i in range(length) if real_steps[b, i]]
        states = weights["states/initial"]
        for first in range(0, len(real), block_size):
            block = real[first : first + block_size]
            of_states = read(weights, states)
            for n, i in enumerate(block, first):
                start = max(0, n - block_size + 1)
                near = real[start : n + 1]
                for h in range(heads):
                    lags = [bias[n - m, h] for m in range(start, n + 1)]
                    outputs[b, i, h] = np.concatenate(
                        [
                            average(q[b, i, h], k[b, near, h], v[b, near, h], lags),
                            average(
                                state_q[b, i, h],
                                of_states["key"][:, h],
                                of_states["value"][:, h],
                            ),
                        ]
                    )
            if len(block) == block_size:
                found = gather(of_states, k[b, block], v[b, block])
                states = gated(weights, states, found, gate)
        if query_mask is not None:
            outputs[b, ~np.asarray(query_mask[b], bool)] = 0.0
    return finish(weights, outputs)


def read(weights, states):
    """Return queries, keys and values of state vectors, `(states, heads, width)`."""
    sizes = np.sqrt((states * states).mean(axis=-1, keepdims=True) + 1e-6)
    named = states / sizes + weights["states/ids"]
    names = ("query", "step_query", "key", "value")
    return {
        name: np.einsum("nf,fhd->nhd", named, weights[f"states/{name}_kernel"])
        for name in names
    }


def gather(of_states, keys, values):
    """Return what state vectors find in one another and in the steps of a block."""
    num_states, heads, width = of_states["value"].shape
    found = np.zeros((num_states, heads, 2 * width), np.complex128)
    for n, h in np.ndindex(num_states, heads):
        among = average(
            of_states["query"][n, h], of_states["key"][:, h], of_states["value"][:, h]
        )
        steps = average(of_states["step_query"][n, h], keys[:, h], values[:, h])
        found[n, h] = np.concatenate([among, steps])
    return found


def gated(weights, states, found, gate):
    """Return the next state vectors."""

    def dense(name):
        outputs = np.einsum("nhd,hdf->nf", found, weights[f"states/{name}_kernel"])
        return outputs + weights.get(f"states/{name}_bias", 0.0)

    if gate == "fixed":
        keep = sigmoids(weights["states/keep_logits"])
        return keep * states + (1 - keep) * dense("candidate")
    keep, enter = sigmoids(dense("forget") + 1), sigmoids(dense("input") - 1)
    return keep * states + enter * np.tanh(dense("candidate"))


def average(query, keys, values, bias=0.0):
    """Return the softmax average of `values`."""
    logits = keys @ query / np.sqrt(len(query)) + np.asarray(bias)
    exponentials = np.exp(logits - logits.real.max())
    return exponentials @ values / exponentials.sum()
