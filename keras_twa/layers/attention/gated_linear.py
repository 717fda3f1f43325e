"""Gated linear attention: each channel of its memory decays as the input says."""

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.low_rank import LowRank
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.layers.normalization import gated_norm
from keras_twa.ops import gated_linear


@keras.saving.register_keras_serializable(package="keras_twa")
class GatedLinearAttention(RecurrentAttention):
    """Multi-head gated linear attention (GLA).

    Per head, a memory `S_t = diag(a_t) S_(t-1) + k_t v_t^T` gives
    `S_t^T q_t / sqrt(D)`. At each step, each channel of the keys has a decay of its
    own, `a_t = sigmoid(x W_1 W_2 + c)^(1 / gate_normalizer)`. The first matrix of this
    low-rank projection is zero initially, so that all decays start at
    `0.5^(1 / gate_normalizer)`. Each head is normalised and multiplied by the gate
    `silu(x W_G)`.

    Retention forgets at a fixed rate, and the gated delta rule at one rate per head.
    This layer can keep some channels while it forgets others.

    Some implementations have short convolutions of queries, keys and values. Here, they
    are an option, `convolution=4`.

    It is causal, whether `use_causal_mask` is set or not. One call, chunks and single
    steps give the same outputs.

    Cost: O(T D (C + D)) time with chunks of C steps, O(T) memory. Decoding holds D
    value_dim numbers per head, and takes the same time at every position.

    Args:
        gate_rank: Width between the two matrices of the decays. Defaults to 16.
        gate_normalizer: The larger, the slower the memory decays. Defaults to 16.
        epsilon: Added to the mean square of each head's output. Defaults to 1e-5.

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state, whose "memory" is
        float32 `(B, H, D, value_dim)`.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import GatedLinearAttention
    >>> layer = GatedLinearAttention(num_heads=2, key_dim=8)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> output, state = layer(x[:, :7], return_state=True)
    >>> tuple(layer(x[:, 7:], initial_state=state).shape)
    (4, 3, 16)

    Reference:
        [Yang et al., 2023](https://arxiv.org/abs/2312.06635)
    """

    causality = "always"
    cross_attention = False
    linear_time = True
    packs = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        gate_rank=16,
        gate_normalizer=16.0,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(gate_rank=gate_rank)
        checks.positive_number(gate_normalizer=gate_normalizer, epsilon=epsilon)
        self.gate_rank = gate_rank
        self.gate_normalizer = gate_normalizer
        self.epsilon = epsilon

    def projections(self):
        return (
            *super().projections(),
            Projection("decay", "query", self.num_heads, self.key_dim),
            Projection("gate", "query", self.num_heads, self.value_dim),
        )

    def projector(self, projection):
        if projection.name != "decay":
            return super().projector(projection)
        return LowRank(
            self.gate_rank, projection, "linear", np.zeros, self._dense_options()
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.norm_scale = self._add("norm_scale", np.ones(self.value_dim))

    def attend(self, call):
        decay = ops.cast(call["decay"], "float32")
        output, memory = gated_linear(
            call["query"] * self.key_dim**-0.5,
            call["key"],
            call["value"],
            call.mask,
            # The logarithm of the sigmoid.
            ops.softplus(-decay) / -self.gate_normalizer,
            None if call.state is None else call.state["memory"],
        )
        output = gated_norm(output, self.norm_scale, call["gate"], self.epsilon)
        return output, {"memory": memory}

    @property
    def state_kind(self):
        shape = (self.num_heads, self.key_dim, self.value_dim)
        return RecurrentState(memory=Slot(shape, "float32"))

    def get_config(self):
        return {
            **super().get_config(),
            "gate_rank": self.gate_rank,
            "gate_normalizer": self.gate_normalizer,
            "epsilon": self.epsilon,
        }
