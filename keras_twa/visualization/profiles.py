"""What mechanisms weigh as a function of position, whatever the inputs are."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from keras import ops

from keras_twa import layers
from keras_twa.ops import inverse_laplace
from keras_twa.ops.softmax.transformer_xl import sinusoids
from keras_twa.visualization.labels import discounts_of
from keras_twa.visualization.labels import head_names

LAG = "steps or time before the query"
SIGNED_LAG = "time of the query minus that of the key"


@dataclass(frozen=True)
class Curves:
    """One panel: lines by name, over the same x.

    Args:
        xlabel: What x is.
        ylabel: What y is.
        x: NumPy `(n,)`.
        lines: NumPy arrays `(n,)` by name.
    """

    xlabel: str
    ylabel: str
    x: np.ndarray
    lines: dict[str, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """One panel: the weight of each pair of a query and a key.

    Args:
        title: What it shows.
        weights: NumPy `(T, T)`.
    """

    title: str
    weights: np.ndarray


@functools.singledispatch
def profile(layer, length):
    """The panels that say what a layer weighs by position alone.

    Args:
        layer: A built attention layer.
        length: How many steps.

    Returns:
        A list of `Curves` and `Pairs`.
    """
    del length
    raise ValueError(
        "What this mechanism weighs depends on what is in a sequence, not on "
        "positions alone: give `inputs` to measure it. "
        f"Received: {type(layer).__name__}"
    )


@profile.register
def _(layer: layers.TemporalWeightedAttention, length):
    xlabel, x = f"time of the {layer.applies_to}", np.arange(length)
    if layer.applies_to == "lag":
        xlabel, x = SIGNED_LAG, np.arange(1 - length, length)
    weights = ops.convert_to_numpy(layer.weights_at(x.astype("float32")))
    factor = "scores" if layer.mode == "multiplicative" else "weights"
    ylabel = f"W, which multiplies {factor}"
    return [Curves(xlabel, ylabel, x, _by_head(layer, weights))]


@profile.register
def _(layer: layers.MultiTimescaleAttention, length):
    return [_fading(layer.timescales, length)]


@profile.register
def _(layer: layers.GravitationalAttention, length):
    return [_forces(layer, length)]


@profile.register
def _(layer: layers.GravitationalMultiTimescaleAttention, length):
    return [_fading(layer.timescales, length), _forces(layer, length)]


@profile.register
def _(layer: layers.RetentionAttention, length):
    lags = np.arange(length)
    lines = {
        f"head {head}, γ = {gamma:.3g}": gamma**lags
        for head, gamma in enumerate(layer.discounts)
    }
    return [Curves(LAG, "what is left of a step", lags, lines)]


@profile.register
def _(layer: layers.MultiTimescaleRetention, length):
    if layer.decoder == "learned":
        return [_fading(layer.timescales, length)]
    lags = np.arange(length)
    inverse = inverse_laplace(layer.discounts, layer.lags, layer.alpha)
    mix = ops.convert_to_numpy(layer.lag_weights) @ inverse
    kernel = mix @ np.power.outer(np.array(layer.discounts), lags)
    ylabel = "weight of a step, over all timescales"
    return [Curves(LAG, ylabel, lags, _by_head(layer, kernel.T))]


@profile.register(layers.LocalAttention)
@profile.register(layers.SparseAttention)
def _(layer, length):
    pattern = getattr(layer, "pattern", None)
    if isinstance(pattern, np.ndarray):
        # A mask of one's own is for so many steps, and no more.
        length = min(length, len(pattern) * layer.block_size)
    # Which pairs are seen depends neither on weights nor on inputs: where all steps are
    # the same, so are the weights of all keys that are seen.
    copy = type(layer).from_config(layer.get_config())
    _, weights = copy(np.zeros((1, length, 1)), return_attention_scores=True)
    seen = ops.convert_to_numpy(weights)[0, 0] > 0
    return [Pairs("keys that each query sees", seen.astype("float32"))]


@profile.register
def _(layer: layers.BlockRecurrentAttention, length):
    weights = np.exp(ops.convert_to_numpy(layer.lag_bias))[:length]
    x, ylabel = np.arange(len(weights)), "factor of the weight of a step"
    return [Curves(LAG, ylabel, x, _by_head(layer, weights))]


@profile.register
def _(layer: layers.TransformerXLAttention, length):
    lags = np.arange(1 - length, length)
    waves = sinusoids(ops.convert_to_tensor(lags, "float32"), layer.position_dim)
    # p: rates, h: heads, d: width of a head.
    bias = np.einsum(
        "tp,phd,hd->th",
        ops.convert_to_numpy(waves),
        ops.convert_to_numpy(layer.position_kernel),
        ops.convert_to_numpy(layer.position_bias_weight),
    )
    weights = np.exp(bias / math.sqrt(layer.key_dim))
    ylabel = "factor of a weight, whatever the query"
    return [Curves(SIGNED_LAG, ylabel, lags, _by_head(layer, weights))]


def has_profile(layer):
    """Whether a layer weighs positions by themselves."""
    return profile.dispatch(type(layer)) is not profile.dispatch(object)


def _fading(timescales, length):
    lags = np.arange(length)
    factor = "score" if timescales.discount == "multiplicative" else "weight"
    lines = {f"γ = {gamma:.3g}": gamma**lags for gamma in discounts_of(timescales)}
    return Curves("time between query and key", f"factor of a {factor}", lags, lines)


def _forces(layer, length):
    """Forces between masses of 1, as far as vectors of the first weights are apart."""
    gravity = layer.gravity
    distance = np.linspace(0, 2 * math.sqrt(layer.key_dim), length)
    fall = (distance**2 + gravity.softening**2) ** (-gravity.exponent / 2)
    constants = np.exp(ops.convert_to_numpy(gravity.log_gravity))
    lines = _by_head(layer, fall[:, None] * constants[:, 0])
    ylabel = "force between masses of 1"
    return Curves("distance of query and key", ylabel, distance, lines)


def _by_head(layer, columns):
    """Lines of the columns of `(n, heads)`."""
    names = head_names(layer, columns.shape[1])
    return dict(zip(names, columns.T, strict=True))
