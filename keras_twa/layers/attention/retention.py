"""Retention: a memory that decays at a different rate for each head."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.clock import Clock
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.ops import backend
from keras_twa.ops import retention
from keras_twa.ops.recurrent.subchunks import NOTHING


@keras.saving.register_keras_serializable(package="keras_twa")
class RetentionAttention(RecurrentAttention):
    """Multi-scale retention, the attention of RetNet.

    Per head, with its own discount `gamma`, over the steps up to `i`:
    `sum_j gamma^(t_i - t_j) (q_i . k_j) v_j / sqrt(D)`, with rotary positions in `q`
    and `k`. Each head is then normalised and multiplied by the gate `silu(x W_G)`.

    It is causal, whether `use_causal_mask` is set or not. One call, chunks and single
    steps give the same outputs.

    Cost: O(T D (C + D)) time with chunks of C steps, O(T) memory. Decoding holds D
    value_dim numbers per head, and takes the same time at every position.

    Args:
        discounts: Discount per unit of time of each head, H numbers in (0, 1).
            Defaults to the paper's, `1 - 2^-5`, `1 - 2^-6`, ...
        epsilon: Added to the variance of each head's output. Defaults to 1e-5.

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state: "memory"
        `(B, H, D, value_dim)` and the "time" of the last real step `(B,)`, in float32.

    Raises:
        ValueError: If a size is not positive, there is not one discount inside (0, 1)
            per head, a shape does not fit, or attention scores are to be masked,
            dropped or returned.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import RetentionAttention
    >>> layer = RetentionAttention(num_heads=2, key_dim=8)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> output, state = layer(x[:, :7], return_state=True)
    >>> tuple(layer(x[:, 7:], initial_state=state).shape)
    (4, 3, 16)

    Reference:
        [Sun et al., 2023](https://arxiv.org/abs/2307.08621)
    """

    uses_times = True
    times_may_fall = False
    packs = True
    causality = "always"
    cross_attention = False
    linear_time = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        discounts=None,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_number(epsilon=epsilon)
        if discounts is None:
            discounts = [1 - 2.0 ** -(5 + head) for head in range(num_heads)]
        checks.discounts(discounts)
        if len(discounts) != num_heads:
            raise ValueError(
                "There must be one discount for each head. "
                f"Received: discounts={discounts!r}, num_heads={num_heads}"
            )
        self.discounts = tuple(discounts)
        self.epsilon = epsilon

    def projections(self):
        gate = Projection("gate", "query", self.num_heads, self.value_dim)
        return (*super().projections(), gate)

    def attend(self, call):
        clock = Clock.of(call)
        output, memory, last = retention(
            clock.turn(call["query"]) * self.key_dim**-0.5,
            clock.turn(call["key"]),
            call["value"],
            call.mask,
            [math.log(gamma) for gamma in self.discounts],
            clock.times,
            None if call.state is None else call.state["memory"],
            clock.before,
        )
        output = backend.layer_normalization(output, None, None, self.epsilon)
        output = ops.cast(output, call["gate"].dtype) * ops.silu(call["gate"])
        return output, clock.next_state(memory, last)

    @property
    def state_kind(self):
        shape = (self.num_heads, self.key_dim, self.value_dim)
        return RecurrentState(
            memory=Slot(shape, "float32"), time=Slot((), "float32", NOTHING)
        )

    def position_profile(self, length):
        lags = np.arange(length)
        lines = {
            f"head {head}, γ = {gamma:.3g}": gamma**lags
            for head, gamma in enumerate(self.discounts)
        }
        return [profiles.Curves(profiles.LAG, "what is left of a step", lags, lines)]

    def get_config(self):
        return {
            **super().get_config(),
            "discounts": self.discounts,
            "epsilon": self.epsilon,
        }
