"""Times a training step of attention layers on this machine."""

import statistics
import time
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_twa.experiments.text import error_text
from keras_twa.layers import get

# The baseline.
KERAS = "keras.layers.MultiHeadAttention"
# The first step compiles, and the second may still load something.
WARM_UP_STEPS = 2

# Called with the numbers of finished steps and of all steps.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the layers and their inputs.

    Args:
        length: Steps T of a sequence.
        batch: Sequences B.
        heads: Attention heads H.
        dim: Width D of a head; a sequence has H D features.
        repeats: Number of timed steps.
        causal: Whether to use a causal mask, if it is optional.
    """

    length: int = 1024
    batch: int = 2
    heads: int = 4
    dim: int = 64
    repeats: int = 5
    causal: bool = False

    def __post_init__(self) -> None:
        for name in ("length", "batch", "heads", "dim", "repeats"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}")


@dataclass
class Timing:
    """The measurement of one layer.

    Args:
        name: Name of the mechanism, or `KERAS`.
        causal: Whether it had a causal mask.
        parameters: Number of its parameters.
        seconds: Seconds of each step.
        problem: Why there are no steps, or empty.
    """

    name: str
    causal: bool
    parameters: int | None = None
    seconds: tuple[float, ...] = ()
    problem: str = ""

    @property
    def median(self) -> float | None:
        """Median of the seconds."""
        return statistics.median(self.seconds) if self.seconds else None


def benchmark(
    attentions: Iterable[str], sizes: Sizes, progress: Progress
) -> list[Timing]:
    """Times a step of Keras's layer and of each mechanism.

    A step is `train_on_batch` of a model of that layer alone, as Keras compiles it by
    default: forward, the backward pass to the weights, and plain gradient descent.
    After the warm-up, the layers take turns, so that a slower machine affects all of
    them.

    Args:
        attentions: Names of mechanisms.
        sizes: The `Sizes`.
        progress: Called after each step.

    Returns:
        A `Timing` for each, `KERAS` first. An error becomes its `problem`.
    """
    names = [KERAS, *attentions]
    timings = [Timing(name, _causal(name, sizes)) for name in names]
    steps: dict[str, Callable[[], float]] = {}
    rounds = WARM_UP_STEPS + sizes.repeats
    for number in range(rounds):
        for place, timing in enumerate(timings):
            if not timing.problem:
                try:
                    if number == 0:
                        steps[timing.name] = _make_step(timing, sizes)
                    seconds = steps[timing.name]()
                except Exception as error:  # any error: the other layers continue
                    timing.problem = error_text(error)
                    timing.seconds = ()
                else:
                    if number >= WARM_UP_STEPS:
                        timing.seconds += (seconds,)
            progress(number * len(timings) + place + 1, rounds * len(timings))
    return timings


def _causal(name: str, sizes: Sizes) -> bool:
    if name == KERAS:
        return sizes.causal
    return sizes.causal or _make_layer(name, sizes).causality == "always"


def _make_layer(name: str, sizes: Sizes) -> Any:
    if name == KERAS:
        return keras.layers.MultiHeadAttention(sizes.heads, sizes.dim)
    return get(name, num_heads=sizes.heads, key_dim=sizes.dim)


def _make_step(timing: Timing, sizes: Sizes) -> Callable[[], float]:
    """Returns a function that runs a step and returns its seconds."""
    shape = (sizes.length, sizes.heads * sizes.dim)
    inputs = keras.Input(shape)
    layer = _make_layer(timing.name, sizes)
    model = keras.Model(inputs, layer(inputs, inputs, use_causal_mask=timing.causal))
    # The rate is so small that the weights hardly change.
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    timing.parameters = model.count_params()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((sizes.batch, *shape), dtype="float32")
    y = np.zeros_like(x)

    def step() -> float:
        start = time.perf_counter()
        # The value is on the host, so the device has finished.
        float(model.train_on_batch(x, y))
        return time.perf_counter() - start

    return step
