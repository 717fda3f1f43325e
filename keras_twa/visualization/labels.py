"""Names of the heads of an attention layer."""

import numpy as np
from keras import ops


def discounts_of(timescales):
    """The current discounts of `Timescales`, NumPy `(S,)`."""
    return np.exp(ops.convert_to_numpy(timescales.log_discounts()))


def head_names(layer, count):
    """Names of `count` heads, with the discount if a layer has timescales."""
    timescales = getattr(layer, "timescales", None)
    if timescales is None:
        return [f"head {head}" for head in range(count)]
    return [
        f"head {head}, γ = {gamma:.3g}"
        for head, gamma in enumerate(
            np.repeat(discounts_of(timescales), count // timescales.num_timescales)
        )
    ]
