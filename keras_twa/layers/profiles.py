"""How mechanisms weigh positions, as plain data for plots."""

from dataclasses import dataclass

import numpy as np
from keras import ops

LAG = "steps or time before the query"
SIGNED_LAG = "time of the query minus that of the key"


@dataclass(frozen=True)
class Curves:
    """One plot panel: named lines over the same x.

    Args:
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        x: NumPy `(n,)`.
        lines: NumPy arrays `(n,)` by name.
    """

    xlabel: str
    ylabel: str
    x: np.ndarray
    lines: dict[str, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """One plot panel: the weight of each pair of a query and a key.

    Args:
        title: Title of the panel.
        weights: NumPy `(T, T)`.
    """

    title: str
    weights: np.ndarray


def by_head(layer, columns):
    """The columns of an array `(n, heads)`, by the names of the layer's heads."""
    names = head_names(layer, columns.shape[1])
    return dict(zip(names, columns.T, strict=True))


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


def discounts_of(timescales):
    """The current discounts of `Timescales`, NumPy `(S,)`."""
    return np.exp(ops.convert_to_numpy(timescales.log_discounts()))


def seen_pairs(layer, length):
    """Which keys each query sees, if that depends on neither weights nor inputs."""
    # If all steps are the same, all visible keys have the same weight.
    copy = type(layer).from_config(layer.get_config())
    _, weights = copy(np.zeros((1, length, 1)), return_attention_scores=True)
    seen = ops.convert_to_numpy(weights)[0, 0] > 0
    return Pairs("keys that each query sees", seen.astype("float32"))
