"""Functions of time for temporal-weighted attention: `f` in `W = 2 sigmoid(f(t))`.

Each is a Keras layer from times `(..., 1)` to one value per head `(..., H)`, in float32
whatever the policy: a position of 10,000 has no exact bfloat16 form. By default, all
start at 0, where `W = 2 sigmoid(0) = 1` is conventional attention and the sigmoid is
steepest. For `W = sigmoid(f(t))`, they start near 4: `sigmoid(4) = 0.98` is almost
conventional attention, but the sigmoid is nearly flat there.
"""

import math

import keras
from keras import ops

from keras_twa.suggestions import close_names

# The initial `f` for each `weighting` of `TemporalWeightedAttention`.
INITIAL_OFFSETS = {"double_sigmoid": 0.0, "sigmoid": 4.0}


class _TemporalFunction(keras.layers.Layer):
    """Base class with per-head weights in float32 and the shared config."""

    def __init__(self, num_heads, initial_offset=0.0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.initial_offset = initial_offset

    def build(self, times_shape):
        self.offset = self._per_head("offset", self.initial_offset)

    def _per_head(self, name, values):
        """A trainable `(H,)` weight that starts at a number or a list of them."""
        return self.add_weight(
            shape=(self.num_heads,),
            initializer=lambda shape, dtype: (
                ops.zeros(shape, dtype) + ops.convert_to_tensor(values, dtype)
            ),
            name=name,
            autocast=False,
        )

    def compute_output_shape(self, times_shape):
        return (*times_shape[:-1], self.num_heads)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "initial_offset": self.initial_offset,
        }


@keras.saving.register_keras_serializable(package="keras_twa")
class LinearTime(_TemporalFunction):
    """`f(t) = offset + slope * t`: importance that grows or falls linearly."""

    def build(self, times_shape):
        super().build(times_shape)
        self.slope = self._per_head("slope", 0.0)

    def call(self, times):
        return self.offset + self.slope * times


@keras.saving.register_keras_serializable(package="keras_twa")
class GatedTime(LinearTime):
    """`f(t, x) = offset + b(x) + (slope + a(x)) t`: a line that depends on the content.

    The attention layer projects the content `x` of a query or key to `b` and `a`, one
    number each per head. Called on times alone, this is the line without them.
    """

    def line(self, offset, slope):
        """The offset and slope of each step, float32 `(B, T, H)`.

        Args:
            offset: `b`, `(B, T, H)`.
            slope: `a`, `(B, T, H)`.
        """
        return (
            ops.cast(offset, "float32") + self.offset,
            ops.cast(slope, "float32") + self.slope,
        )


@keras.saving.register_keras_serializable(package="keras_twa")
class SinusoidalTime(_TemporalFunction):
    """`f(t) = offset + amplitude * sin(2 pi frequency t + phase)`: periodicity.

    The heads start an octave apart, at 1, 2, 4, ... periods per unit of time.
    """

    def __init__(self, num_heads, initial_amplitude=0.0, **kwargs):
        super().__init__(num_heads, **kwargs)
        self.initial_amplitude = initial_amplitude

    def build(self, times_shape):
        super().build(times_shape)
        self.amplitude = self._per_head("amplitude", self.initial_amplitude)
        octaves = [2.0**head for head in range(self.num_heads)]
        self.frequency = self._per_head("frequency", octaves)
        self.phase = self._per_head("phase", 0.0)

    def call(self, times):
        turns = self.frequency * times
        wave = ops.sin(self.phase + turns * (2.0 * math.pi))
        return self.offset + self.amplitude * wave

    def get_config(self):
        return {**super().get_config(), "initial_amplitude": self.initial_amplitude}


@keras.saving.register_keras_serializable(package="keras_twa")
class ExponentialTime(_TemporalFunction):
    """`f(t) = offset + amplitude * exp(-softplus(rate) |t|)`: recency.

    With a negative amplitude, early steps of a sequence have lower values and later
    ones saturate. With a positive amplitude, steps near `t = 0` count more, which for
    lags means the recent past.
    """

    def __init__(self, num_heads, initial_amplitude=0.0, **kwargs):
        super().__init__(num_heads, **kwargs)
        self.initial_amplitude = initial_amplitude

    def build(self, times_shape):
        super().build(times_shape)
        self.amplitude = self._per_head("amplitude", self.initial_amplitude)
        self.rate = self._per_head("rate", 0.0)

    def call(self, times):
        decay = ops.softplus(self.rate) * ops.absolute(times)
        return self.offset + self.amplitude * ops.exp(-decay)

    def get_config(self):
        return {**super().get_config(), "initial_amplitude": self.initial_amplitude}


@keras.saving.register_keras_serializable(package="keras_twa")
class LearnedTime(_TemporalFunction):
    """`f(t) = offset + tanh(t w + b) V`: any smooth shape, by a small network."""

    def __init__(self, num_heads, hidden_dim=16, **kwargs):
        super().__init__(num_heads, **kwargs)
        self.hidden_dim = hidden_dim

    def build(self, times_shape):
        super().build(times_shape)
        hidden = (1, self.hidden_dim)
        self.hidden_kernel = self.add_weight(
            shape=hidden, initializer="random_normal", name="hidden_kernel"
        )
        self.hidden_bias = self.add_weight(
            shape=hidden[1:],
            initializer=keras.initializers.RandomUniform(-1.0, 1.0),
            name="hidden_bias",
        )
        self.output_kernel = self.add_weight(
            shape=(self.hidden_dim, self.num_heads),
            initializer="zeros",
            name="output_kernel",
        )

    def call(self, times):
        hidden = self.hidden_bias + ops.matmul(times, self.hidden_kernel)
        return self.offset + ops.matmul(ops.tanh(hidden), self.output_kernel)

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim}


TEMPORAL_FUNCTIONS = {
    "linear": LinearTime,
    "sinusoidal": SinusoidalTime,
    "exponential": ExponentialTime,
    "learned": LearnedTime,
    "gated": GatedTime,
}


def get_temporal_function(
    identifier,
    num_heads,
    of_lags=False,
    weighting="double_sigmoid",
    initial_offset=None,
):
    """Resolves a name, a Keras layer or another callable to a callable.

    Args:
        identifier: One of "linear", "sinusoidal", "exponential", "learned", "gated", or
            a callable from times `(..., 1)` to values `(..., H)` or `(..., 1)`.
        num_heads: H.
        of_lags: Whether the function will be given lags instead of positions.
        weighting: "double_sigmoid" or "sigmoid": how values become weights.
        initial_offset: Initial value of a function given by name, or `None` for that of
            the `weighting`.
    """
    if callable(identifier):
        return identifier
    if not isinstance(identifier, str) or identifier not in TEMPORAL_FUNCTIONS:
        close = close_names(str(identifier), TEMPORAL_FUNCTIONS)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            "`temporal_function` must be a callable, a Keras layer, or one of "
            f"{sorted(TEMPORAL_FUNCTIONS)}.{hint} "
            f"Received: temporal_function={identifier!r}"
        )
    if initial_offset is None:
        initial_offset = INITIAL_OFFSETS[weighting]
    # A fixed name gives the weights the same path in every copy of a model.
    options = {"initial_offset": initial_offset, "name": "temporal_function"}
    if weighting == "sigmoid" and identifier == "sinusoidal":
        options["initial_amplitude"] = 1.0
    if weighting == "sigmoid" and identifier == "exponential":
        options["initial_amplitude"] = 1.0 if of_lags else -1.0
    return TEMPORAL_FUNCTIONS[identifier](num_heads, **options)
