from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa import layers
from keras_twa import masks


@keras.saving.register_keras_serializable(package="their_attention")
class FadingAttention(layers.RecurrentAttention):
    """Sums up what came before, which fades.

    `sigmoid(q_i) sum_j rate^(i - j) v_j` over the real steps `j <= i`.

    Cost: O(T^2 D) time.
    """

    causality = "always"
    cross_attention = False
    search_space: ClassVar[dict] = {"rate": (0.9, 0.5)}

    def __init__(self, num_heads, key_dim, value_dim=None, rate=0.9, **kwargs):
        super().__init__(num_heads, key_dim, value_dim, **kwargs)
        self.rate = rate

    def projections(self):
        sizes = self.num_heads, self.value_dim
        return [layers.Projection(name, name, *sizes) for name in ("query", "value")]

    @property
    def state_kind(self):
        memory = layers.Slot((self.num_heads, self.value_dim), "float32")
        return layers.RecurrentState(memory=memory)

    def attend(self, call):
        value = ops.cast(call["value"], "float32")
        batch, length = ops.shape(value)[:2]
        real = ops.cast(masks.real_keys(call.mask, batch, length), "float32")
        before = (call.state or self.initial_state(batch))["memory"]
        number, count = ops.cumsum(real, axis=1), ops.sum(real, axis=1, keepdims=True)
        lags = ops.maximum(number[:, :, None] - number[:, None, :], 0.0)
        left = ops.tril(ops.power(self.rate, lags)) * real[:, None, :]
        sums = ops.einsum("btj,bjhd->bthd", left, value)
        sums = sums + ops.power(self.rate, number)[..., None, None] * before[:, None]
        weight = ops.power(self.rate, count - number) * real
        memory = ops.einsum("bj,bjhd->bhd", weight, value)
        memory = memory + ops.power(self.rate, count)[..., None] * before
        sums = masks.hide_padding(sums, call.mask.queries)
        gate = ops.sigmoid(call["query"])
        return gate * ops.cast(sums, gate.dtype), {"memory": memory}

    def position_profile(self, length):
        lags = np.arange(length)
        return [layers.Curves("steps", "weight", lags, {"all heads": self.rate**lags})]

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}
