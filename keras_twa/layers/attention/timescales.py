"""Discounts and the decoder that two multi-timescale attention layers share."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.layers.normalization import LayerNormalization
from keras_twa.ops import discounted_attention

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
    linear map, layer normalisation, ReLU and a second linear map.

    Args:
        discounts: S numbers in (0, 1).
        trainable_discounts: Whether they are learned. They stay in (0, 1).
        discount: How the discount changes scores: "multiplicative" or "additive".
        num_heads: Heads H per timescale.
        use_bias: Whether the decoder has biases.
        dense_options: Function that returns the options of one dense layer:
            initializers, regularizers, constraints.

    Call arguments:
        outputs: `(B, T, S * H, D)`, timescale by timescale.

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
        **kwargs,
    ):
        super().__init__(**kwargs)
        checks.discounts(discounts)
        checks.one_of(("multiplicative", "additive"), discount=discount)
        self.discounts = tuple(discounts)
        self.trainable_discounts = trainable_discounts
        self.discount = discount
        self.num_heads = num_heads
        self.use_bias = use_bias
        self.dense_options = dense_options

    @property
    def num_timescales(self):
        return len(self.discounts)

    def build(self, outputs_shape):
        logits = [math.log(gamma / (1 - gamma)) for gamma in self.discounts]
        self.discount_logits = self.add_weight(
            shape=(self.num_timescales,),
            initializer=lambda shape, dtype: ops.convert_to_tensor(logits, dtype),
            trainable=self.trainable_discounts,
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

    def call(self, outputs):
        batch, length, _, width = ops.shape(outputs)
        split = (batch, length, self.num_timescales, self.num_heads, width)
        by_head = ops.swapaxes(ops.reshape(outputs, split), 2, 3)
        joint = (batch, length, self.num_heads, self.num_timescales * width)
        return self.decode(ops.reshape(by_head, joint))

    def decode(self, joint):
        """Decodes the concatenated timescales of each head.

        Args:
            joint: `(B, T, H, S * D)`.

        Returns:
            `(B, T, H, D)`.
        """
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

    def attend(self, score, query, key, value, adds=False, **options):
        """Attends at all timescales, each of which discounts the score, and decodes.

        Args:
            score: The score without the discount.
            query: Query tensors of the score, `(B, T, S * H, ...)`.
            key: Key tensors of the score, `(B, T, S * H, ...)`.
            value: `(B, T, S * H, D)`.
            adds: Whether the score is a logarithm, so that the logarithm of the
                discount is added.
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
            None if self.trainable_discounts else self.discounts,
            adds or self.discount == "additive",
            **options,
        )
        if not options["return_weights"]:
            return self(outputs)
        return self(outputs[0]), outputs[1]

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
        }
