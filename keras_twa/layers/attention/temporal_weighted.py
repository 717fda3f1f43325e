"""Temporal-weighted attention: scores scaled by a learned function of time."""

from dataclasses import dataclass
from typing import Any
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.temporal_functions import GatedTime
from keras_twa.layers.temporal_functions import get_temporal_function
from keras_twa.ops import LagLine
from keras_twa.ops import TimeWeight
from keras_twa.ops import biased
from keras_twa.ops import dot_product_attention
from keras_twa.ops import inner_product
from keras_twa.ops import lag
from keras_twa.ops import tiled_attention
from keras_twa.ops import times_of

# What `W` approaches as `f` grows.
HIGHEST = {"double_sigmoid": 2.0, "sigmoid": 1.0}
# What the content of a query or key sets, if `f` is gated.
GATE_PARTS = ("offset", "slope")


@keras.saving.register_keras_serializable(package="keras_twa")
class TemporalWeightedAttention(PairAttention):
    """Multi-head attention whose scores are weighted by time (TWA).

    Per head: `softmax((Q K^T * W) / sqrt(D)) V` with `W = 2 sigmoid(f(t))`, where `t`
    is the time of the key, the time of the query, or the lag between them, and `f` is
    learned separately for each head. Initially, `f` is 0 and `W` is 1: conventional
    attention. With `weighting="sigmoid"`, `W` is `sigmoid(f(t))` instead.

    A `W` below 1 moves positive and negative scores towards zero: it lowers the
    attention weight of a key with a high score and raises that of a key with a low one.
    A `W` above 1 does the opposite. With `mode="log_additive"`, the layer computes
    `softmax(Q K^T / sqrt(D) + log W) V`, where a small `W` always means little
    attention.

    With `temporal_function="gated"`, `f` is a line over the time `u = t / time_scale`,
    which also depends on the content of query `i` or key `j`:

    - on keys, `f = offset + o_j + (slope + s_j) u_j`;
    - on queries, `f = offset + o_i + (slope + s_i) u_i`;
    - on lags, `f = offset + o_i + o_j + (slope + s_i + s_j) u_ij`.

    The sublayers "query_offset" and "query_slope" project the input of a query to `o_i`
    and `s_i`, and "key_offset" and "key_slope" that of a key to `o_j` and `s_j`: one
    number each per head, without biases. Their kernels start at zero.

    Cost: that of dot-product attention for weights on keys or queries, which are folded
    into K or Q. Weights on lags are applied to the scores tile by tile: O(T S (D + H))
    time, or O(T S D) if gated, and O(T + S) memory.

    Args:
        temporal_function: `f`: "linear", "sinusoidal", "exponential", "learned",
            "gated", or any callable or Keras layer from float32 times `(..., 1)`,
            already divided by `time_scale`, to values `(..., H)` or `(..., 1)`.
            Defaults to "linear".
        mode: "multiplicative" (the definition) or "log_additive".
        applies_to: "key" (default), "query" or "lag" (`t_i - t_j`).
        time_scale: The unit of time inside `f`, in the unit of the positions. It is
            fixed, so that `f` does not depend on the length of a sequence. Defaults to
            100.
        initial_offset: Initial value of a named `f`. Defaults to `None`: 0, or with
            `weighting="sigmoid"` approximately 4, where `W = sigmoid(4) = 0.98` is
            almost conventional attention, but learns slowly, as the sigmoid is nearly
            flat.
        weighting: "double_sigmoid" (default): `W = 2 sigmoid(f)`, from 0 to 2.
            "sigmoid": `W = sigmoid(f)`, from 0 to 1, the original definition. Files and
            configurations of earlier versions, which do not name it, keep "sigmoid".

    Raises:
        ValueError: If an argument or a shape does not fit, or `mode="log_additive"`
            applies to queries, where softmax would cancel it.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import TemporalWeightedAttention
    >>> layer = TemporalWeightedAttention(num_heads=2, key_dim=8, time_scale=3600)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> seconds = np.sort(np.random.uniform(0, 86_400, (4, 10)))
    >>> tuple(layer(x, x, query_positions=seconds).shape)
    (4, 10, 16)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762) for the attention;
        [Press et al., 2022](https://arxiv.org/abs/2108.12409) for terms in the
        scores that depend on time alone.
    """

    uses_times = True
    rotary = True
    position_bias = True
    former_defaults: ClassVar[dict] = {"weighting": "sigmoid"}
    search_space: ClassVar[dict] = {
        "temporal_function": (
            "linear",
            "exponential",
            "sinusoidal",
            "learned",
            "gated",
        ),
        "weighting": ("double_sigmoid", "sigmoid"),
        "mode": ("multiplicative", "log_additive"),
        "applies_to": ("key", "lag"),
        "time_scale": (100.0, 10.0, 1000.0),
    }
    small_options: ClassVar[dict] = {"time_scale": 10.0}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        temporal_function="linear",
        mode="multiplicative",
        applies_to="key",
        time_scale=100.0,
        initial_offset=None,
        weighting="double_sigmoid",
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.one_of(("multiplicative", "log_additive"), mode=mode)
        checks.one_of(("key", "query", "lag"), applies_to=applies_to)
        checks.positive_number(time_scale=time_scale)
        if initial_offset is not None:
            checks.finite_number(initial_offset=initial_offset)
        checks.one_of(tuple(HIGHEST), weighting=weighting)
        if mode == "log_additive" and applies_to == "query":
            raise ValueError(
                "Adding a term per query has no effect: softmax over the keys "
                "cancels it. Use `applies_to='key'` or 'lag'. "
                f"Received: mode={mode!r}, applies_to={applies_to!r}"
            )
        self.mode = mode
        self.applies_to = applies_to
        self.time_scale = time_scale
        self.initial_offset = initial_offset
        self.weighting = weighting
        self._given_function = temporal_function
        self.temporal_function = get_temporal_function(
            temporal_function, num_heads, applies_to == "lag", weighting, initial_offset
        )
        self._weight = TimeWeight(HIGHEST[weighting], mode == "log_additive")

    def projections(self):
        found = super().projections()
        if not self._is_gated:
            return found
        sides = ("query", "key") if self.applies_to == "lag" else (self.applies_to,)
        gates = (
            Projection(f"{side}_{part}", side, self.num_heads, 1)
            for side in sides
            for part in GATE_PARTS
        )
        return (*found, *gates)

    def projector(self, projection):
        if not projection.name.endswith(GATE_PARTS):
            return super().projector(projection)
        # `temporal_function` has the biases.
        return HeadDense(
            "btf,fhd->bthd",
            output_shape=(None, projection.heads, projection.dim),
            name=projection.name,
            **{**self._dense_options(), "kernel_initializer": "zeros"},
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        function = self.temporal_function
        if isinstance(function, keras.layers.Layer) and not function.built:
            function.build((None, None, 1))

    def attend(self, call):
        bias = self.pair_bias(call)
        query_times = times_of(call.query_times, ops.shape(call["query"])[1])
        key_times = times_of(call.key_times, ops.shape(call["key"])[1])
        if self.applies_to == "lag":
            return self._attend_by_lag(call, query_times, key_times, bias)
        query, key, key_bias = call["query"], call["key"], None
        times = key_times if self.applies_to == "key" else query_times
        values = self._values(call, times)
        if self.mode == "log_additive":
            key_bias = self._weight.log(values)
        elif self.applies_to == "key":
            key = self._weigh(key, values)
        else:
            query = self._weigh(query, values)
        return dot_product_attention(
            query,
            key,
            call["value"],
            call.mask,
            key_bias=key_bias,
            dropout=call.dropout,
            return_weights=call.return_weights,
            pair_bias=bias,
        )

    def _attend_by_lag(self, call, query_times, key_times, bias):
        query = {
            "query": ops.cast(call["query"], "float32") * self.key_dim**-0.5,
            "time": query_times[..., None],
        }
        key = {"key": call["key"], "time": key_times[..., None]}
        if self._is_gated:
            score, parameters = LagLine(self._weight), []
            self._add_lines(call, query, key)
        else:
            score = _LagWeighted(self, self._weight)
            parameters = [variable.value for variable in self._function_variables()]
            # Each row of the kernel is one head: this selects its column of the values
            # of f.
            own_head = ops.eye(self.num_heads, dtype="float32")[None, None]
            query["own_head"] = ops.broadcast_to(
                own_head,
                (1, ops.shape(call["query"])[1], self.num_heads, self.num_heads),
            )
        score, query, key = biased(score, query, key, bias)
        return tiled_attention(
            score,
            query,
            key,
            call["value"],
            call.mask,
            call.dropout,
            call.return_weights,
            parameters,
        )

    def _add_lines(self, call, query, key):
        """Adds the offsets and slopes to the tensors of queries and of keys."""
        offset, slope = self.temporal_function.line(*self._gates(call, "query"))
        query["line_offset"] = offset
        query["line_slope"] = slope * (1.0 / self.time_scale)
        offset, slope = (ops.cast(gate, "float32") for gate in self._gates(call, "key"))
        key["line_offset"] = offset
        key["line_slope"] = slope * (1.0 / self.time_scale)

    @property
    def _is_gated(self):
        return isinstance(self.temporal_function, GatedTime)

    def _gates(self, call, side):
        """What the contents of queries or keys add to offset and slope, `(B, T, H)`."""
        return [call[f"{side}_{part}"][..., 0] for part in GATE_PARTS]

    def _values(self, call, times):
        """`f` of each key or query, float32 `(B or 1, length, H)`."""
        if not self._is_gated:
            return self._per_head(times)
        offset, slope = self.temporal_function.line(*self._gates(call, self.applies_to))
        return offset + slope * ops.divide(times, self.time_scale)[..., None]

    def weights_at(self, times):
        """`W` at each time or lag, float32 `(..., H)`.

        Args:
            times: Float32 `(...)`.
        """
        return self._weight(self._per_head(times))

    def lag_values(self, lags, *parameters):
        """`f` with the weights `parameters` at each lag, float32 `(..., H or 1)`."""
        times = ops.divide(lags, self.time_scale)[..., None]
        function = self.temporal_function
        if not isinstance(function, keras.layers.Layer):
            return self._checked(function(times))
        trainable = len(function.trainable_variables)
        values, _ = function.stateless_call(
            list(parameters[:trainable]), list(parameters[trainable:]), times
        )
        return self._checked(values)

    def _function_variables(self):
        function = self.temporal_function
        if not isinstance(function, keras.layers.Layer):
            return []
        return function.trainable_variables + function.non_trainable_variables

    def _per_head(self, positions):
        """`f` at each position, float32 `(B or 1, length, H)`."""
        times = ops.divide(positions, self.time_scale)[..., None]
        values = self._checked(self.temporal_function(times))
        return ops.broadcast_to(values, (*ops.shape(positions), self.num_heads))

    def _checked(self, values):
        """Values of `f` in float32, after a check of their shape."""
        if len(values.shape) == 0 or values.shape[-1] not in (1, self.num_heads):
            raise ValueError(
                "`temporal_function` must return values of shape (..., "
                f"{self.num_heads}) or (..., 1) for times (..., 1). Received: "
                f"values of shape {tuple(values.shape)}"
            )
        return ops.cast(values, "float32")

    def _weigh(self, x, values):
        weights = self._weight(values)
        return ops.multiply(x, ops.cast(weights, x.dtype)[..., None])

    def position_profile(self, length):
        xlabel, x = f"time of the {self.applies_to}", np.arange(length)
        if self.applies_to == "lag":
            xlabel, x = profiles.SIGNED_LAG, np.arange(1 - length, length)
        weights = ops.convert_to_numpy(self.weights_at(x.astype("float32")))
        factor = "scores" if self.mode == "multiplicative" else "weights"
        ylabel = f"W, which multiplies {factor}"
        return [profiles.Curves(xlabel, ylabel, x, profiles.by_head(self, weights))]

    def example_weights(self):
        function = self.temporal_function
        return [(function.offset, [4.0, -2.0]), (function.slope, [-1.5, 1.0])]

    def get_config(self):
        return {
            **super().get_config(),
            "temporal_function": keras.saving.serialize_keras_object(
                self._given_function
            ),
            "mode": self.mode,
            "applies_to": self.applies_to,
            "time_scale": self.time_scale,
            "initial_offset": self.initial_offset,
            "weighting": self.weighting,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the layer.

        Args:
            config: The result of `get_config`, also of an earlier version. There, `W`
                was `sigmoid(f(t))`.
        """
        config = {**cls.former_defaults, **config}
        function = config["temporal_function"]
        if not isinstance(function, str):
            function = keras.saving.deserialize_keras_object(function)
        return cls(**{**config, "temporal_function": function})


@dataclass(frozen=True)
class _LagWeighted:
    """`q . k` weighted by `W` for the lag `t_q - t_k`.

    Args:
        layer: The layer that holds `f`.
        weight: The `TimeWeight`.
    """

    layer: Any
    weight: TimeWeight

    def __call__(self, query, key, *parameters):
        logits = inner_product(query["query"], key["key"])
        lags = lag(query["time"], key["time"])
        # (g, t, S, H or 1) against (g, t, 1, H)
        values = self.layer.lag_values(lags, *parameters)
        values = ops.sum(values * query["own_head"][:, :, None, :], axis=-1)
        return self.weight.weigh(logits, values)
