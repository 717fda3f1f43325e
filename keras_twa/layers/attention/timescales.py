"""The discounts, gate and decoder that the multi-timescale attention layers share."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.normalization import LayerNormalization
from keras_twa.ops import discounted_attention
from keras_twa.ops.timescale_gate import gate_timescales

# The projection of the gate.
GATE = "timescale_gate"
# Shorter sequences have no range of timescales.
LEAST_LENGTH = 2
# The first tuple is the default of the layers.
DISCOUNTS_TO_SEARCH = (
    (0.6, 0.9, 0.99),
    (0.9, 0.99),
    (0.3, 0.9),
    (0.5, 0.8, 0.95, 0.99),
)


class Timescales(keras.layers.Layer):
    """Holds one discount per timescale, and decodes all timescales together.

    Discounted sums of values are samples of a Laplace transform over time, which the
    decoder learns to invert: per head, all timescales are concatenated and go through a
    linear map, layer normalisation, ReLU and a second linear map. A gate may weigh the
    timescales of each step and head before that.

    Args:
        discounts: S numbers in (0, 1), or "log_uniform".
        trainable_discounts: Whether they are learned. They stay in (0, 1). Discounts
            that are "log_uniform" are always learned.
        discount: How the discount changes scores: "multiplicative" or "additive".
        num_heads: Heads H per timescale.
        use_bias: Whether the decoder has biases.
        dense_options: Function that returns the options of one dense layer:
            initializers, regularizers, constraints.
        decoder: "learned", or "gated" with the gate.
        num_timescales: S, for "log_uniform".
        longest_timescale: For "log_uniform", the time after which the last discount is
            1/e, more than 1. `None`: the length that the layer is built for.
        select: How many timescales the gate keeps for each step and head, or `None` for
            all.

    Call arguments:
        outputs: `(B, T, S * H, D)`, timescale by timescale.
        gates: `(B, T, H, S)`, for the gated decoder.

    Returns:
        `(B, T, H, D)`.
    """

    def __init__(
        self,
        discounts,
        trainable_discounts,
        discount,
        num_heads,
        use_bias,
        dense_options,
        decoder="learned",
        num_timescales=None,
        longest_timescale=None,
        select=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.timescales(discounts, num_timescales, longest_timescale)
        checks.one_of(("multiplicative", "additive"), discount=discount)
        checks.one_of(("learned", "gated"), decoder=decoder)
        self.spreads = isinstance(discounts, str)
        self.discounts = discounts if self.spreads else tuple(discounts)
        count = num_timescales if self.spreads else len(discounts)
        checks.selected_timescales(select, count, decoder)
        self.num_timescales = count
        self.decoder = decoder
        self.longest_timescale = longest_timescale
        self.select = select
        self.trainable_discounts = trainable_discounts
        self.discount = discount
        self.num_heads = num_heads
        self.use_bias = use_bias
        self.dense_options = dense_options

    @property
    def is_gated(self):
        """Whether a gate weighs the timescales."""
        return self.decoder == "gated"

    def gate_projections(self):
        """The projections that attention needs for the gate."""
        gate = Projection(GATE, "query", self.num_heads, self.num_timescales)
        return (gate,) if self.is_gated else ()

    def build(self, outputs_shape):
        discounts = self._initial_discounts(outputs_shape[1])
        logits = [math.log(gamma / (1 - gamma)) for gamma in discounts]
        self.discount_logits = self.add_weight(
            shape=(self.num_timescales,),
            initializer=lambda shape, dtype: ops.convert_to_tensor(logits, dtype),
            trainable=self.trainable_discounts or self.spreads,
            name="discount_logits",
            autocast=False,
        )
        width, heads = outputs_shape[-1], self.num_heads
        joint = self.num_timescales * width
        self.expand = self._dense("expand", joint)
        self.norm = LayerNormalization(
            epsilon=1e-5, center=self.use_bias, dtype=self.dtype_policy, name="norm"
        )
        self.read = self._dense("read", width)
        shape = (None, None, heads, joint)
        for layer in (self.expand, self.norm, self.read):
            layer.build(shape)

    def _initial_discounts(self, length):
        """The S initial discounts, for a sequence of this length or `None`."""
        if not self.spreads:
            return self.discounts
        longest = self.longest_timescale
        if longest is None and (length is None or length < LEAST_LENGTH):
            raise ValueError(
                "Discounts that are 'log_uniform' need the longest timescale: pass "
                "`longest_timescale`, or build the layer for a known length, at least "
                f"{LEAST_LENGTH}. Received: longest_timescale=None, length={length}"
            )
        times = np.geomspace(1.0, longest or length, self.num_timescales)
        return np.exp(-1.0 / times)

    def call(self, outputs, gates=None):
        batch, length, _, width = ops.shape(outputs)
        split = (batch, length, self.num_timescales, self.num_heads, width)
        by_head = ops.swapaxes(ops.reshape(outputs, split), 2, 3)
        joint = (batch, length, self.num_heads, self.num_timescales * width)
        return self.decode(ops.reshape(by_head, joint), gates)

    def decode(self, joint, gates=None):
        """Decodes the concatenated timescales of each head.

        Args:
            joint: `(B, T, H, S * D)`.
            gates: `(B, T, H, S)`, for the gated decoder.

        Returns:
            `(B, T, H, D)`.
        """
        if self.is_gated:
            joint = gate_timescales(joint, gates, self.select)
        return self.read(ops.relu(self.norm(self.expand(joint))))

    def log_discounts(self):
        """The logarithms of the discounts, float32 `(S,)`."""
        return ops.log_sigmoid(ops.cast(self.discount_logits, "float32"))

    def _dense(self, name, width):
        return HeadDense(
            # b: batch, t: time, h: heads, c and d: widths; each head has its own.
            "bthc,hcd->bthd",
            output_shape=(None, self.num_heads, width),
            bias_axes="hd" if self.use_bias else None,
            name=name,
            **self.dense_options(),
        )

    def attend(self, score, query, key, value, adds=False, gates=None, **options):
        """Attends at all timescales, each of which discounts the score, and decodes.

        Args:
            score: The score without the discount.
            query: Query tensors of the score, `(B, T, S * H, ...)`.
            key: Key tensors of the score, `(B, T, S * H, ...)`.
            value: `(B, T, S * H, D)`.
            adds: Whether the score is a logarithm, so that the logarithm of the
                discount is added.
            gates: `(B, T, H, S)`, for the gated decoder.
            **options: Further arguments of `discounted_attention`.

        Returns:
            `(B, T, H, D)`, and with `return_weights` also the weights
            `(B, S * H, T, S)`.
        """
        outputs = discounted_attention(
            score,
            query,
            key,
            value,
            self.log_discounts(),
            None if self.trainable_discounts or self.spreads else self.discounts,
            adds or self.discount == "additive",
            **options,
        )
        if not options["return_weights"]:
            return self(outputs, gates)
        return self(outputs[0], gates), outputs[1]

    def fading(self, length):
        """How the discounts decay with time, as `Curves`."""
        lags = np.arange(length)
        factor = "score" if self.discount == "multiplicative" else "weight"
        lines = {
            f"γ = {gamma:.3g}": gamma**lags for gamma in profiles.discounts_of(self)
        }
        xlabel, ylabel = "time between query and key", f"factor of a {factor}"
        return profiles.Curves(xlabel, ylabel, lags, lines)

    def options(self):
        """The constructor arguments that an attention layer passes on."""
        return {
            "discounts": self.discounts,
            "trainable_discounts": self.trainable_discounts,
            "discount": self.discount,
            "decoder": self.decoder,
            "num_timescales": self.num_timescales if self.spreads else None,
            "longest_timescale": self.longest_timescale,
            "select": self.select,
        }
