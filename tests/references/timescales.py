"""Discounts of timescales, and the decoder that reads them."""

import numpy as np

from tests.references.numbers import relu
from tests.references.numbers import softplus

LAYER_NORM_EPSILON = 1e-5


def decode_timescales(weights, outputs, num_timescales):
    """Combine the timescales of each head: expand, normalise, relu, read.

    `outputs` is `(batch, length, timescales * heads, width)`, timescale-major.
    """
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


def log_discounts(weights, all_heads):
    """Return log(gamma) of each of the `timescales * heads`, and how many timescales.

    The heads are timescale-major, so each timescale's discount repeats for its heads.
    """
    logits = weights["timescales/discount_logits"]
    log_gamma = np.array([-softplus(-logit) for logit in logits])  # log(sigmoid)
    return np.repeat(log_gamma, all_heads // len(logits)), len(logits)
