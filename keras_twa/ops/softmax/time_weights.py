"""Scores weighted by a function of time, in float32."""

import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_twa.ops.softmax.scores import inner_product
from keras_twa.ops.softmax.scores import lag


@dataclass(frozen=True)
class TimeWeight:
    """The weight `W = highest * sigmoid(f)` of a score.

    Args:
        highest: What `W` approaches as `f` grows.
        adds: Whether `log W` is added to the score, instead of multiplied by `W`.
    """

    highest: float
    adds: bool = False

    def __call__(self, values):
        """`W` for the values of `f`."""
        return ops.sigmoid(values) * self.highest

    def log(self, values):
        """`log W` for the values of `f`."""
        return ops.log_sigmoid(values) + math.log(self.highest)

    def weigh(self, logits, values):
        """The weighted scores, for the values of `f`."""
        return logits + self.log(values) if self.adds else logits * self(values)


@dataclass(frozen=True)
class LagLine:
    """`q . k` weighted by `W`, where `f` is a line over the lag.

    Queries carry "time", "line_offset" and "line_slope" `(g, t)`, and keys the same
    `(g, S)`. The offset of a pair is the sum of the two, and so is its slope, which is
    per unit of time.

    Args:
        weight: The `TimeWeight`.
    """

    weight: Any

    def __call__(self, query, key):
        logits = inner_product(query["query"], key["key"])
        offset = query["line_offset"][..., None] + key["line_offset"][:, None, :]
        slope = query["line_slope"][..., None] + key["line_slope"][:, None, :]
        values = offset + slope * lag(query["time"], key["time"])
        return self.weight.weigh(logits, values)
