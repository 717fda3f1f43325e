"""Gated delta rule: a decaying memory that corrects the value it stores for a key."""

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.ops import gated_delta
from keras_twa.ops import unit

# Initially, the first head decays the slowest and the last one the fastest.
DECAY_RATES = (1.0, 16.0)
STEP_SIZES = (0.001, 0.1)


@keras.saving.register_keras_serializable(package="keras_twa")
class GatedDeltaAttention(RecurrentAttention):
    """Multi-head gated delta rule, the attention of Gated DeltaNet.

    Per head, a memory `S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T` gives
    `S_t^T q_t / sqrt(D)`, with `q` and `k` of length 1. The rate `b = sigmoid(x W_b)`
    sets how much of a key's old value the new one replaces; the decay
    `a = exp(-A softplus(x W_a + c))` sets how much of the whole memory is kept. Each
    head is then normalised and multiplied by the gate `silu(x W_G)`.

    Linear attention only ever adds to its sum, so that keys interfere with each other.
    This layer writes only the difference from what the memory already returns for the
    key.

    The short convolutions before queries, keys and values of the paper's block are not
    part of this layer. A and `c` do not start at random values: from the first head to
    the last, decays spread evenly from slow to fast.

    It is causal, whether `use_causal_mask` is set or not. One call, chunks and single
    steps give the same outputs.

    Cost: O(T D (C + D)) time with chunks of C steps, O(T) memory. Decoding holds D
    value_dim numbers per head, and takes the same time at every position.

    Args:
        epsilon: Added to the mean square of each head's output. Defaults to 1e-5.

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state, whose "memory" is
        float32 `(B, H, D, value_dim)`.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import GatedDeltaAttention
    >>> layer = GatedDeltaAttention(num_heads=2, key_dim=8)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> output, state = layer(x[:, :7], return_state=True)
    >>> tuple(layer(x[:, 7:], initial_state=state).shape)
    (4, 3, 16)

    Reference:
        [Yang et al., 2024](https://arxiv.org/abs/2412.06464)
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
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_number(epsilon=epsilon)
        self.epsilon = epsilon

    def projections(self):
        return (
            *super().projections(),
            Projection("beta", "query", self.num_heads, 1),
            Projection("decay", "query", self.num_heads, 1),
            Projection("gate", "query", self.num_heads, self.value_dim),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        rates = np.linspace(*DECAY_RATES, self.num_heads)
        sizes = np.geomspace(*STEP_SIZES, self.num_heads)
        self.log_decay_rate = self._add_vector("log_decay_rate", np.log(rates))
        # The inverse of softplus, so that softplus gives the step sizes.
        self.decay_bias = self._add_vector("decay_bias", np.log(np.expm1(sizes)))
        self.norm_scale = self._add_vector("norm_scale", np.ones(self.value_dim))

    def attend(self, call):
        query, key, beta, decay = (
            ops.cast(call[name], "float32")
            for name in ("query", "key", "beta", "decay")
        )
        change = decay + ops.cast(self.decay_bias, "float32")[:, None]
        rate = ops.exp(ops.cast(self.log_decay_rate, "float32"))[:, None]
        output, memory = gated_delta(
            unit(query) * self.key_dim**-0.5,
            unit(key),
            call["value"],
            call.mask,
            -rate * ops.softplus(change),
            ops.sigmoid(beta),
            None if call.state is None else call.state["memory"],
        )
        scale = ops.cast(self.norm_scale, "float32")
        output = ops.rms_normalization(output, scale, epsilon=self.epsilon)
        output = ops.cast(output, call["gate"].dtype) * ops.silu(call["gate"])
        return output, {"memory": memory}

    @property
    def state_kind(self):
        shape = (self.num_heads, self.key_dim, self.value_dim)
        return RecurrentState(memory=Slot(shape, "float32"))

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}

    def _add_vector(self, name, values):
        return self.add_weight(
            shape=values.shape,
            initializer=keras.initializers.Constant(values.astype("float32")),
            name=name,
            autocast=False,
        )
