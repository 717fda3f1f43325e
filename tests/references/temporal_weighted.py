"""Temporal-weighted attention."""

import math

import numpy as np

from tests.references.numbers import sigmoid
from tests.references.numbers import softplus
from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.parts import project
from tests.references.positions import bias_of

HIGHEST = {"double_sigmoid": 2, "sigmoid": 1}
SIDES = {"key": ("key",), "query": ("query",), "lag": ("query", "key")}


def temporal_weighted(
    weights,
    query,
    value,
    key=None,
    *,
    temporal_function="linear",
    weighting="double_sigmoid",
    mode="multiplicative",
    applies_to="key",
    time_scale=100.0,
    **call,
):
    """Return softmax((q.k) W / sqrt(D)) v, or softmax(q.k / sqrt(D) + log W) v.

    `temporal_function` is a name, or a function of `(weights, u, head)`.
    """
    q, k, v, visible, moments = prepare(weights, query, value, key, **call)
    query_times, key_times = moments
    bias = bias_of(weights, call.get("positions"), q, moments)
    scale = 1 / math.sqrt(q.shape[-1])
    function = TEMPORAL_FUNCTIONS.get(temporal_function, temporal_function)
    inputs = {"query": query, "key": value if key is None else key}
    contents = {}
    if temporal_function == "gated":
        contents = {
            (side, part): project(weights, f"{side}_{part}", inputs[side])[..., 0]
            for side in SIDES[applies_to]
            for part in ("offset", "slope")
        }

    def logit(b, h, i, j):
        time = {
            "key": key_times[b, j],
            "query": query_times[b, i],
            "lag": query_times[b, i] - key_times[b, j],
        }[applies_to]
        step = {"query": i, "key": j}
        f = function(weights, time / time_scale, h)
        for (side, part), content in contents.items():
            factor = time / time_scale if part == "slope" else 1
            f += content[b, step[side], h] * factor
        weight = HIGHEST[weighting] * sigmoid(f)
        dot = q[b, i, h] @ k[b, j, h]
        if mode == "multiplicative":
            return dot * weight * scale + bias(b, h, i, j)
        return dot * scale + np.log(weight) + bias(b, h, i, j)

    return finish(weights, *attend(logit, visible, v))


def temporal_linear(weights, u, head):
    """Return offset + slope u."""
    offset, slope = (
        weights[f"temporal_function/{name}"] for name in ("offset", "slope")
    )
    return offset[head] + slope[head] * u


def temporal_sinusoidal(weights, u, head):
    """Return offset + amplitude sin(2 pi frequency u + phase)."""
    offset, amplitude, frequency, phase = (
        weights[f"temporal_function/{name}"][head]
        for name in ("offset", "amplitude", "frequency", "phase")
    )
    return offset + amplitude * np.sin(2 * np.pi * frequency * u + phase)


def temporal_exponential(weights, u, head):
    """Return offset + amplitude exp(-softplus(rate) |u|)."""
    offset, amplitude, rate = (
        weights[f"temporal_function/{name}"][head]
        for name in ("offset", "amplitude", "rate")
    )
    return offset + amplitude * np.exp(-softplus(rate) * abs(u))


def temporal_learned(weights, u, head):
    """Return offset + tanh(u hidden_kernel + hidden_bias) @ output_kernel."""
    kernel, bias, read, offset = (
        weights[f"temporal_function/{name}"]
        for name in ("hidden_kernel", "hidden_bias", "output_kernel", "offset")
    )
    hidden = np.tanh(u * kernel.reshape(-1) + bias)
    return offset[head] + hidden @ read[:, head]


TEMPORAL_FUNCTIONS = {
    "linear": temporal_linear,
    "sinusoidal": temporal_sinusoidal,
    "exponential": temporal_exponential,
    "learned": temporal_learned,
    # Without what the contents add.
    "gated": temporal_linear,
}
