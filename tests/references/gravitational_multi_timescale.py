"""Gravitational multi-timescale attention."""

import numpy as np

from tests.references.gravitational import force_between
from tests.references.parts import attend
from tests.references.parts import finish
from tests.references.parts import prepare
from tests.references.timescales import decode_timescales
from tests.references.timescales import log_discounts


def gravitational_multi_timescale(
    weights,
    query,
    value,
    key=None,
    *,
    discount="multiplicative",
    exponent=2.0,
    softening=0.5,
    normalization="softmax",
    metric="euclidean",
    law="newton",
    select=None,
    **call,
):
    """Return the decoded attentions, one per discount gamma, of the force."""
    q, _, v, visible, moments = prepared = prepare(weights, query, value, key, **call)
    force = force_between(
        weights, query, value, key, prepared, exponent, softening, metric, law
    )
    log_gamma, num_timescales = log_discounts(weights, q.shape[2])

    def logit(b, h, i, j):
        pull = force(b, h, i, j)
        fade = abs(moments[0][b, i] - moments[1][b, j]) * log_gamma[h]
        if discount == "multiplicative":
            pull = pull * np.exp(fade)
            return pull if normalization == "softmax" else np.log(pull)
        return (pull if normalization == "softmax" else np.log(pull)) + fade

    outputs, scores = attend(logit, visible, v)
    outputs = decode_timescales(weights, outputs, num_timescales, query, select)
    return finish(weights, outputs, scores)
