"""Multi-timescale attention."""

import math

import numpy as np

from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.timescales import decode_timescales
from tests.references.timescales import log_discounts


def multi_timescale(
    weights,
    query,
    value,
    key=None,
    *,
    discount="multiplicative",
    select=None,
    **call,
):
    """Return the decoded attentions, one per discount gamma, of q.k / sqrt(D).

    The logit is multiplied by gamma^|dt|, or gets |dt| log(gamma) added.
    """
    q, k, v, visible, moments = prepare(weights, query, value, key, **call)
    scale = 1 / math.sqrt(q.shape[-1])
    log_gamma, num_timescales = log_discounts(weights, q.shape[2])

    def logit(b, h, i, j):
        dot = (q[b, i, h] @ k[b, j, h]) * scale
        fade = abs(moments[0][b, i] - moments[1][b, j]) * log_gamma[h]
        return dot * np.exp(fade) if discount == "multiplicative" else dot + fade

    outputs, scores = attend(logit, visible, v)
    outputs = decode_timescales(weights, outputs, num_timescales, query, select)
    return finish(weights, outputs, scores)
