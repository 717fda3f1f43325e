"""Discounts of timescales, and the decoder that reads them."""

import numpy as np

from tests.references.numbers import relu
from tests.references.numbers import softplus
from tests.references.parts import project

LAYER_NORM_EPSILON = 1e-5


def decode_timescales(weights, outputs, num_timescales, query=None, select=None):
    """Combine the timescales of each head: expand, normalise, relu, read.

    `outputs` is `(batch, length, timescales * heads, width)`, timescale-major. If the
    decoder is gated, each timescale is multiplied by its gate first.
    """
    if "timescale_gate/kernel" in weights:
        outputs = gated(weights, outputs, num_timescales, query, select)
    batch, length, all_heads, _ = outputs.shape
    heads = all_heads // num_timescales
    expand, read = (weights[f"timescales/{name}/kernel"] for name in ("expand", "read"))
    none = np.zeros(heads)
    expand_bias = weights.get("timescales/expand/bias", none)
    read_bias = weights.get("timescales/read/bias", none)
    gamma = weights["timescales/norm/gamma"]
    beta = weights.get("timescales/norm/beta", 0.0)
    decoded = np.zeros((batch, length, heads, read.shape[-1]), np.complex128)
    for b, i, h in np.ndindex(batch, length, heads):
        joined = np.concatenate(
            [outputs[b, i, s * heads + h] for s in range(num_timescales)]
        )
        hidden = joined @ expand[h] + expand_bias[h]
        centred = hidden - hidden.mean()
        variance = (centred * centred).mean()
        hidden = centred / np.sqrt(variance + LAYER_NORM_EPSILON) * gamma + beta
        decoded[b, i, h] = relu(hidden) @ read[h] + read_bias[h]
    return decoded


def gated(weights, outputs, num_timescales, query, select):
    """Multiply each timescale by N times its share of a softmax over the best ones."""
    gates = project(weights, "timescale_gate", query)
    outputs, heads = outputs.copy(), gates.shape[2]
    for b, i, h in np.ndindex(gates.shape[:3]):
        logits = gates[b, i, h]
        best = np.argsort(-logits.real)[:select]
        powers = {s: np.exp(logits[s] - logits[best[0]]) for s in best}
        total = sum(powers.values())
        for s in range(num_timescales):
            gate = num_timescales * powers.get(s, 0.0) / total
            outputs[b, i, s * heads + h] = outputs[b, i, s * heads + h] * gate
    return outputs


def log_discounts(weights, all_heads):
    """Return log(gamma) of each of the `timescales * heads`, and how many timescales.

    The heads are timescale-major, so each timescale's discount repeats for its heads.
    """
    logits = weights["timescales/discount_logits"]
    log_gamma = np.array([-softplus(-logit) for logit in logits])  # log(sigmoid)
    return np.repeat(log_gamma, all_heads // len(logits)), len(logits)
