from dataclasses import dataclass
from typing import ClassVar

import keras

from keras_twa.layers import PairAttention
from keras_twa.ops import squared_distance
from keras_twa.ops import tiled_attention


@dataclass(frozen=True)
class Nearness:
    width: float

    def __call__(self, query, key):
        return squared_distance(query["query"], key["key"]) * (-1 / self.width)


@keras.saving.register_keras_serializable(package="their_attention")
class DistanceAttention(PairAttention):
    """Attends to what is near.

    `softmax(-|q - k|^2 / width) V`.

    Cost: O(T S D) time, O(T + S) memory.
    """

    search_space: ClassVar[dict] = {"width": (1.0, 4.0)}

    def __init__(self, num_heads, key_dim, value_dim=None, width=1.0, **kwargs):
        super().__init__(num_heads, key_dim, value_dim, **kwargs)
        self.width = width

    def attend(self, call):
        return tiled_attention(
            Nearness(self.width),
            {"query": call["query"]},
            {"key": call["key"]},
            call["value"],
            call.mask,
            call.dropout,
            call.return_weights,
        )

    def get_config(self):
        return {**super().get_config(), "width": self.width}
