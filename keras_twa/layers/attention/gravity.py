"""The law of gravity that two attention layers share."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.ops import Force
from keras_twa.ops import ForceByDistance
from keras_twa.ops import log_softplus
from keras_twa.ops import unit
from keras_twa.ops.softmax import distances

METRICS = ("euclidean", "manhattan", "cosine", "hyperbolic", "mahalanobis")
LAWS = ("newton", "yukawa")
# Distances of these do not stay the same if query and key are rotated together.
NOT_ROTATED = ("manhattan", "mahalanobis")


class Gravity(keras.layers.Layer):
    """Turns mass projections into masses, and pairs of tokens into logits.

    Args:
        num_heads: Number of heads, each with its own constant G.
        key_dim: Width D of queries and keys.
        metric: The distance: one of `METRICS`, or a function; see
            `GravitationalAttention`.
        law: One of `LAWS`.
        exponent: How fast the force falls with distance.
        softening: Distance below which the force stops growing.
        normalization: "softmax": logits are forces. "force": logits are their
            logarithms, so that the weights are the forces divided by their sum.
        gravity: Initial G, or `None` for one that depends on metric and law.
        screening_length: Initial screening length of "yukawa", or `None` for the
            typical distance.

    Call arguments:
        query: `(B, T, H, D)`.
        key: `(B, S, H, D)`.
        query_mass: `(B, T, H, 1)`, before the softplus.
        key_mass: `(B, S, H, 1)`, before the softplus.

    Returns:
        The inputs of the score `force`: a dictionary of tensors for queries and one for
        keys.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        metric,
        law,
        exponent,
        softening,
        normalization,
        gravity,
        screening_length,
        **kwargs,
    ):
        metric = _checked_metric(metric)
        checks.one_of(LAWS, law=law)
        if screening_length is not None and law != "yukawa":
            raise ValueError(
                "Only `law='yukawa'` has a screening length. "
                f"Received: law={law!r}, screening_length={screening_length!r}"
            )
        gravity = _gravity(metric, law, exponent, key_dim, gravity)
        if screening_length is None:
            screening_length = typical_distance(metric, key_dim)
        checks.positive_number(
            exponent=exponent,
            softening=softening,
            gravity=gravity,
            screening_length=screening_length,
        )
        checks.one_of(("softmax", "force"), normalization=normalization)
        super().__init__(dtype="float32", **kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.metric = metric
        self.law = law
        self.exponent = exponent
        self.softening = softening
        self.normalization = normalization
        self.gravity = gravity
        self.screening_length = screening_length
        self.force = self._force()
        # How many numbers the score holds for a pair.
        self.width = 1
        if isinstance(self.force, ForceByDistance):
            self.width = self.force.width(key_dim)

    def build(self, query_shape=None):
        self.log_gravity = self._per_head("log_gravity", self.gravity)
        if self.law == "yukawa":
            self.log_length = self._per_head("log_length", self.screening_length)
        if self.metric == "mahalanobis":
            self.log_scale = self.add_weight(
                shape=(self.num_heads, self.key_dim),
                initializer="zeros",
                name="log_scale",
            )

    def call(self, query, key, query_mass, key_mass):
        log_gravity = ops.convert_to_tensor(self.log_gravity)
        masses = log_softplus(query_mass) + log_gravity, log_softplus(key_mass)
        query, key = self._placed(query), self._placed(key)
        if self.law == "newton":
            return self.force.prepare(query, key, *masses)
        log_length = ops.convert_to_tensor(self.log_length)
        return self.force.prepare(query, key, *masses, log_length)

    def check_positions(self, layer):
        """Checks that the distance suits the positions inside an attention layer."""
        if layer.turns and self.metric in NOT_ROTATED:
            raise ValueError(
                f"The distance {self.metric!r} changes if query and key are rotated "
                "together, so rotary positions would not act by lag alone. Use "
                "'euclidean', 'cosine' or 'hyperbolic', or other positions. Received: "
                f"metric={self.metric!r}, positions={layer.positions.name!r}"
            )

    def forces(self, layer, length):
        """Forces between masses of 1, by distance, as `Curves`.

        They cover the range of distances that occur with the initial weights.

        Args:
            layer: The attention layer that this one is part of.
            length: Number of points.
        """
        distance = np.linspace(0, self._longest(), length)
        squared = distance**2 + self.softening**2
        fall = squared[:, None] ** (-self.exponent / 2)
        if self.law == "yukawa":
            lengths = np.exp(ops.convert_to_numpy(self.log_length))[:, 0]
            fall = fall * np.exp(-np.sqrt(squared)[:, None] / lengths)
        constants = np.exp(ops.convert_to_numpy(self.log_gravity))
        lines = profiles.by_head(layer, fall * constants[:, 0])
        xlabel, ylabel = "distance of query and key", "force between masses of 1"
        return profiles.Curves(xlabel, ylabel, distance, lines)

    def options(self):
        """The constructor arguments that an attention layer passes on."""
        screened = self.law == "yukawa"
        return {
            "exponent": self.exponent,
            "softening": self.softening,
            "normalization": self.normalization,
            "gravity": self.gravity,
            "metric": _serialized(self.metric),
            "law": self.law,
            "screening_length": self.screening_length if screened else None,
        }

    def _force(self):
        """The score: a function of a tile of queries and a tile of keys."""
        options = self.exponent, self.softening, self.normalization == "force"
        if self.metric == "manhattan":
            distance = distances.Manhattan()
        elif self.metric == "hyperbolic":
            distance = distances.Hyperbolic()
        elif callable(self.metric):
            distance = distances.Custom(self.metric)
        elif self.law == "newton":
            return Force(*options)
        else:
            distance = distances.Euclidean()
        return ForceByDistance(distance, *options)

    def _placed(self, x):
        """The points whose distance `force` measures, for `(B, length, H, D)`."""
        if self.metric == "cosine":
            return unit(x)
        x = ops.cast(x, "float32")
        if self.metric == "mahalanobis":
            return x * ops.exp(ops.convert_to_tensor(self.log_scale) * 0.5)
        return x * self.key_dim**-0.5 if self.metric == "hyperbolic" else x

    def _per_head(self, name, value):
        """A weight `(H, 1)` that starts at the logarithm of a number."""
        return self.add_weight(
            shape=(self.num_heads, 1),
            initializer=keras.initializers.Constant(math.log(value)),
            name=name,
        )

    def _longest(self):
        """The longest distance to show."""
        typical = typical_distance(self.metric, self.key_dim)
        longest = {"manhattan": 2 * typical, "cosine": typical, "hyperbolic": 3.0}
        return longest.get(self.metric, 2 * math.sqrt(self.key_dim))


def typical_distance(metric, key_dim):
    """The initial distance of a query and a key, for inputs of variance 1, roughly.

    By default, masses of 1 attract there with a force of 1: the softmax is then neither
    uniform nor saturated, whatever `key_dim` is.

    Args:
        metric: One of `METRICS`, or a function, which counts as Euclidean.
        key_dim: Width D of queries and keys.
    """
    if metric == "manhattan":
        return float(key_dim)
    # For directions, the longest distance there is.
    fixed = {"cosine": 2.0, "hyperbolic": math.sqrt(2.0)}
    return fixed.get(metric, math.sqrt(2.0 * key_dim))


def _gravity(metric, law, exponent, key_dim, given):
    """The initial G: that given, or the default."""
    if given is not None:
        return given
    if law == "newton" and metric not in ("manhattan", "cosine", "hyperbolic"):
        # With less, the softmax of wide inputs would be nearly uniform.
        return 2 * key_dim
    checks.positive_number(exponent=exponent)
    found = typical_distance(metric, key_dim) ** exponent
    # The default screening leaves 1 / e of Newton's force there.
    return found * math.e if law == "yukawa" else found


def _checked_metric(given):
    """A metric from the argument of a constructor, which may be serialized."""
    if isinstance(given, dict):
        given = keras.saving.deserialize_keras_object(given)
    if isinstance(given, keras.Layer):
        raise ValueError(
            "`metric` must be a function without weights: a layer's would not be "
            f"trained. Received: metric={given!r}"
        )
    if not callable(given):
        checks.one_of(METRICS, metric=given)
    elif type(given).__hash__ is None:
        raise ValueError(
            "`metric` must be hashable, so that compiled code is used again: make its "
            f"class a frozen dataclass. Received: metric={given!r}"
        )
    return given


def _serialized(metric):
    """A metric as plain data.

    Raises:
        ValueError: If a function is not registered, so that no file could restore it.
    """
    if not callable(metric):
        return metric
    kind = metric if hasattr(metric, "__name__") else type(metric)
    name = keras.saving.get_registered_name(kind)
    if keras.saving.get_registered_object(name) is not kind:
        raise ValueError(
            "To save or copy a layer with a `metric` of your own, register the "
            "function with `keras.saving.register_keras_serializable`. "
            f"Received: metric={metric!r}"
        )
    return keras.saving.serialize_keras_object(metric)
