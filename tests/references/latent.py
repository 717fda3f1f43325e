"""Latent attention."""

import math

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import numbers
from tests.references.parts import project
from tests.references.parts import times
from tests.references.parts import visible_pairs
from tests.references.positions import turned


def latent(
    weights,
    query,
    value,
    key=None,
    *,
    query_positions=None,
    key_positions=None,
    positions="rotary",
    **masks,
):
    """Return softmax((qC.(c WK) + qR.r) / sqrt(D)) (c WV)."""
    key = value if key is None else key
    q = queries(weights, query)
    c = normed(project(weights, "latent", value)[:, :, 0], weights["latent_norm/scale"])
    r = project(weights, "rotary_key", key)
    content = np.einsum("bsc,chd->bshd", c, weights["key_up/kernel"])
    v = np.einsum("bsc,chd->bshd", c, weights["value_up/kernel"])
    batch, query_length, heads, width = q.shape
    key_length = r.shape[1]
    if value is query:
        if query_positions is None:
            query_positions = numbers(batch, query_length, **masks)
        key_positions = query_positions if key_positions is None else key_positions
    visible = visible_pairs(batch, heads, query_length, key_length, **masks)
    own = content.shape[-1]
    moments = times(query_positions, batch, query_length)
    rotated = turned(q[..., own:], moments, positions)
    r = turned(r, times(key_positions, batch, key_length), positions)[:, :, 0]

    def logit(b, h, i, j):
        found = q[b, i, h, :own] @ content[b, j, h] + rotated[b, i, h] @ r[b, j]
        return found / math.sqrt(width)

    return finish(weights, *attend(logit, visible, v))


def queries(weights, x):
    """Return the queries of heads, possibly from a small vector."""
    if "query/kernel" in weights:
        return project(weights, "query", x)
    small = x @ weights["query/down/kernel"] + weights.get("query/down/bias", 0.0)
    small = normed(small, weights["query/norm/scale"])
    return np.einsum("btc,chd->bthd", small, weights["query/up/kernel"])


def normed(x, scale):
    """Return vectors of root mean square 1, times a scale for each channel."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6) * scale
