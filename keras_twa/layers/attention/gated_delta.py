"""Gated delta rule: a decaying memory that corrects the value it stores for a key."""

from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.layers.attention.step_sizes import StepSizes
from keras_twa.layers.normalization import gated_norm
from keras_twa.ops import delta_product
from keras_twa.ops import gated_delta
from keras_twa.ops import unit


@keras.saving.register_keras_serializable(package="keras_twa")
class GatedDeltaAttention(StepSizes, RecurrentAttention):
    """Multi-head gated delta rule, the attention of Gated DeltaNet.

    Per head, a memory `S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T` gives
    `S_t^T q_t / sqrt(D)`, with `q` and `k` of length 1. The rate `b = sigmoid(x W_b)`
    sets how much of a key's old value the new one replaces; the decay
    `a = exp(-A softplus(x W_a + c))` sets how much of the whole memory is kept. Each
    head is then normalised and multiplied by the gate `silu(x W_G)`.

    With `negative_eigenvalues=True`, `b = 2 sigmoid(x W_b)`. Above 1, a step reverses
    the sign of what the memory holds for its key, so that the layer can track states
    such as the parity of a bit. With `num_householder=n`, each step writes n times
    before it is read, with n keys, values and rates of its own, and decays once (Gated
    DeltaProduct). The n products rotate the memory, which one of them cannot.

    Linear attention only ever adds to its sum, so that keys interfere with each other.
    This layer writes only the difference from what the memory already returns for the
    key.

    The paper's block has short convolutions of queries, keys and values. Here they are
    an option, `convolution=4`. A and `c` do not start at random values: from the first
    head to the last, decays spread evenly from slow to fast.

    It is causal, whether `use_causal_mask` is set or not. One call, chunks and single
    steps give the same outputs.

    Cost: O(n T D (C + D)) time with chunks of C writes, O(n T) memory. Decoding holds D
    value_dim numbers per head, and takes the same time at every position.

    Args:
        negative_eigenvalues: Whether rates are between 0 and 2 instead of 0 and 1.
            Defaults to `False`.
        num_householder: Number n of writes per step. Defaults to 1.
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
        [Yang et al., 2024](https://arxiv.org/abs/2412.06464);
        [Grazzi et al., 2024](https://arxiv.org/abs/2411.12537) on negative eigenvalues;
        [Siems et al., 2025](https://arxiv.org/abs/2502.10297) on several writes per
        step
    """

    causality = "always"
    cross_attention = False
    linear_time = True
    packs = True
    search_space: ClassVar[dict] = {
        "negative_eigenvalues": (False, True),
        "num_householder": (1, 2),
    }

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        negative_eigenvalues=False,
        num_householder=1,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.boolean(negative_eigenvalues=negative_eigenvalues)
        checks.positive_integer(num_householder=num_householder)
        checks.positive_number(epsilon=epsilon)
        self.negative_eigenvalues = negative_eigenvalues
        self.num_householder = num_householder
        self.epsilon = epsilon

    def projections(self):
        heads, count = self.num_heads, self.num_householder
        return (
            Projection("query", "query", heads, self.key_dim),
            Projection("key", "key", heads, count * self.key_dim),
            Projection("value", "value", heads, count * self.value_dim),
            Projection("beta", "query", heads, count),
            Projection("decay", "query", heads, 1),
            Projection("gate", "query", heads, self.value_dim),
        )

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self._build_step_sizes()
        self.norm_scale = self._add("norm_scale", np.ones(self.value_dim))

    def attend(self, call):
        key, value, kernel = call["key"], call["value"], gated_delta
        if self.num_householder > 1:
            key, value, kernel = self._writes(key), self._writes(value), delta_product
        most = 2.0 if self.negative_eigenvalues else 1.0
        output, memory = kernel(
            unit(call["query"]) * self.key_dim**-0.5,
            unit(key),
            value,
            call.mask,
            self._log_decay(self._step_sizes(call["decay"])),
            most * ops.sigmoid(ops.cast(call["beta"], "float32")),
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
            "negative_eigenvalues": self.negative_eigenvalues,
            "num_householder": self.num_householder,
            "epsilon": self.epsilon,
        }

    def _writes(self, x):
        """`(B, T, H, n * D)` to `(B, T, H, n, D)`."""
        *shape, width = ops.shape(x)
        count = self.num_householder
        return ops.reshape(x, (*shape, count, width // count))
