"""The state-space model of Mamba-2, which is linear attention with decays."""

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.layers.attention.step_sizes import StepSizes
from keras_twa.masks import hide_padding
from keras_twa.ops import state_space


@keras.saving.register_keras_serializable(package="keras_twa")
class Mamba2Attention(StepSizes, RecurrentAttention):
    """Multi-head state-space model of Mamba-2, by state-space duality.

    Per head, a state `S_t = a_t S_(t-1) + d_t k_t v_t^T` gives `S_t^T q_t + u v_t`,
    with a learned `u`. The step size `d = softplus(x W_d + c)` sets how much a step
    adds. With the rate A of the head, it also sets how much of the state is kept:
    `a = exp(-A d)`. All heads of a group share queries and keys. Queries, keys and
    values are C, B and x in the paper. The heads are multiplied by the gate
    `silu(x W_G)`, and those of a group are then normalised together.

    The paper's block has a short convolution of queries, keys and values, with an
    activation. Here, it is an option, `convolution=4`. A and `c` do not start at random
    values: from the first head to the last, decays spread evenly from slow to fast.

    It is causal, whether `use_causal_mask` is set or not. One call, chunks and single
    steps give the same outputs.

    Cost: O(T D (C + D)) time with chunks of C steps, O(T) memory. Decoding holds D
    value_dim numbers per head, and takes the same time at every position.

    Args:
        key_dim: Width D of queries and keys: the size of the paper's state.
        num_groups: Number of groups of heads, which divides `num_heads`. Defaults to 1:
            all heads share queries and keys.
        epsilon: Added to the mean square of each group's output. Defaults to 1e-5.

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state, whose "memory" is
        float32 `(B, H, D, value_dim)`.

    Raises:
        ValueError: If a size is not positive, `num_groups` does not divide `num_heads`,
            a shape does not fit, or attention weights are to be masked, dropped or
            returned.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import Mamba2Attention
    >>> layer = Mamba2Attention(num_heads=2, key_dim=8)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> output, state = layer(x[:, :7], return_state=True)
    >>> tuple(layer(x[:, 7:], initial_state=state).shape)
    (4, 3, 16)

    Reference:
        [Dao and Gu, 2024](https://arxiv.org/abs/2405.21060)
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
        num_groups=1,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(num_groups=num_groups)
        checks.positive_number(epsilon=epsilon)
        if num_heads % num_groups:
            raise ValueError(
                "`num_heads` must be divisible by `num_groups`. "
                f"Received: num_heads={num_heads}, num_groups={num_groups}"
            )
        if self.direction == "both" and num_groups % 2:
            raise ValueError(
                "Both directions require an even number of groups. "
                f"Received: direction='both', num_groups={num_groups}"
            )
        self.num_groups = num_groups
        self.epsilon = epsilon

    def projections(self):
        return (
            Projection("query", "query", self.num_groups, self.key_dim),
            Projection("key", "key", self.num_groups, self.key_dim),
            Projection("value", "value", self.num_heads, self.value_dim),
            Projection("decay", "query", self.num_heads, 1),
            Projection("gate", "query", self.num_heads, self.value_dim),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self._build_step_sizes()
        self.skip = self._add("skip", np.ones(self.num_heads))
        self.norm_scale = self._add(
            "norm_scale", np.ones((self.num_heads, self.value_dim))
        )

    def attend(self, call):
        value = ops.cast(call["value"], "float32")
        sizes = self._step_sizes(call["decay"])
        output, memory = state_space(
            call["query"],
            call["key"],
            value * sizes,
            call.mask,
            self._log_decay(sizes),
            None if call.state is None else call.state["memory"],
        )
        skipped = hide_padding(value, call.mask.keys)
        output = output + skipped * ops.cast(self.skip, "float32")[:, None]
        output = hide_padding(output, call.mask.queries)
        output = self._norm(output * ops.silu(ops.cast(call["gate"], "float32")))
        return ops.cast(output, call["gate"].dtype), {"memory": memory}

    def _norm(self, heads):
        """Divides the heads of each group by their root mean square."""
        shape = ops.shape(heads)
        width = self.num_heads // self.num_groups * self.value_dim
        heads = ops.reshape(heads, (*shape[:2], self.num_groups, width))
        heads = ops.rms_normalization(heads, epsilon=self.epsilon)
        return ops.reshape(heads, shape) * ops.cast(self.norm_scale, "float32")

    @property
    def state_kind(self):
        shape = (self.num_heads, self.key_dim, self.value_dim)
        return RecurrentState(memory=Slot(shape, "float32"))

    def get_config(self):
        return {
            **super().get_config(),
            "num_groups": self.num_groups,
            "epsilon": self.epsilon,
        }
