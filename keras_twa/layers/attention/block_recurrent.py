"""Block-recurrent attention: a window of steps, and gated recurrent state vectors."""

from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.attention.recurrent import RecurrentAttention
from keras_twa.layers.attention.state_vectors import GATES
from keras_twa.layers.attention.state_vectors import StateVectors
from keras_twa.layers.attention.states import RecurrentState
from keras_twa.layers.attention.states import Slot
from keras_twa.ops import block_recurrent_attention


@keras.saving.register_keras_serializable(package="keras_twa")
class BlockRecurrentAttention(RecurrentAttention):
    """Multi-head attention of the Block-Recurrent Transformer.

    Per head, over the `block_size` steps up to `i`:
    `softmax(q_i . k_j / sqrt(D) + b) v_j`, with a learned bias `b` for each lag
    `i - j`. Each head also attends, with separate queries, to N state vectors. At the
    end of each block of `block_size` steps, the state vectors attend to one another and
    to the block, and a gate updates them: `c' = g c + (1 - g) z`, where `z` is a
    projection of the result, and `g` is learned for each channel.

    A step sees the state vectors from the start of its block, so all steps of a block
    are computed at once. The layer is causal, whether `use_causal_mask` is set or not.
    Blocks and lags count real steps: padding, wherever it is, changes nothing and has
    zero outputs. One call, chunks and single steps give the same outputs.

    The initial state vectors are learned. Before they attend or are attended to, they
    are scaled to the same length, and a learned id is added to each. Unlike in the
    paper, which has a bias for each range of lags, each lag has its own.

    Cost: O(T (C + N) D + (T / C) N (N + M) D) time with blocks of C steps and state
    vectors of M channels, O(T) memory. Decoding holds N state vectors and 2 C keys and
    values, and takes the same time at every position.

    Args:
        value_dim: Width of each head's values. Defaults to `key_dim`. State vectors
            have M = H value_dim channels.
        block_size: Steps per block, and the number of steps that a step sees, including
            itself. Defaults to 128.
        num_states: Number N of state vectors. Defaults to 64.
        gate: "fixed": `g` is the same for all steps; the best in the paper. "lstm":
            gates that depend on the result of the attention, `c' = f c + i tanh(z)`.
            Defaults to "fixed".

    Returns:
        `(B, T, output_shape)`; with `return_state`, also the state: the number of real
        steps, "count" `(B,)`; the "states" `(B, N, M)` in float32; and "key" and
        "value" `(B, 2 block_size - 1, H, width)`.

    Raises:
        ValueError: If a size is not positive, the gate is unknown, a shape does not
            fit, or attention scores are to be masked, dropped or returned.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import BlockRecurrentAttention
    >>> layer = BlockRecurrentAttention(2, 8, block_size=4, num_states=3)
    >>> x = np.ones((5, 10, 16), "float32")
    >>> output, state = layer(x[:, :7], return_state=True)
    >>> tuple(layer(x[:, 7:], initial_state=state).shape)
    (5, 3, 16)
    >>> tuple(state["states"].shape)
    (5, 3, 16)

    Reference:
        [Hutchins et al., 2022](https://arxiv.org/abs/2203.07852)
    """

    causality = "always"
    cross_attention = False
    # State vectors mix the heads, so that all of them run in one direction.
    allowed_directions = ("forward", "backward")
    linear_time = True
    packs = True
    search_space: ClassVar[dict] = {
        "block_size": (128, 16, 32),
        "num_states": (64, 16),
        "gate": ("fixed", "lstm"),
    }
    small_options: ClassVar[dict] = {"block_size": 12, "num_states": 4}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        block_size=128,
        num_states=64,
        gate="fixed",
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(block_size=block_size, num_states=num_states)
        checks.one_of(tuple(GATES), gate=gate)
        self.block_size = block_size
        self.num_states = num_states
        self.gate = gate
        self._states = StateVectors(
            num_states,
            num_heads,
            key_dim,
            self.value_dim,
            gate,
            use_bias,
            self._dense_options,
            name="states",
        )

    @property
    def mixed_dim(self):
        # Attention to nearby steps and to state vectors, concatenated.
        return 2 * self.value_dim

    def projections(self):
        to_states = Projection("state_query", "query", self.num_heads, self.key_dim)
        return (*super().projections(), to_states)

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.lag_bias = self.add_weight(
            name="lag_bias",
            shape=(self.block_size, self.num_heads),
            initializer="zeros",
            autocast=False,
        )
        self._states.build()

    def attend(self, call):
        lag_bias = ops.convert_to_tensor(self.lag_bias)
        return block_recurrent_attention(
            call["query"],
            call["state_query"],
            call["key"],
            call["value"],
            self.block_size,
            {"lag_bias": lag_bias, **self._states.tensors()},
            self.gate,
            call.mask,
            call.state,
        )

    @property
    def state_kind(self):
        held = 2 * self.block_size - 1
        width = self.num_heads * self.value_dim
        return RecurrentState(
            count=Slot((), "int32"),
            states=Slot((self.num_states, width), "float32"),
            key=Slot((held, self.num_heads, self.key_dim)),
            value=Slot((held, self.num_heads, self.value_dim)),
        )

    def position_profile(self, length):
        weights = np.exp(ops.convert_to_numpy(self.lag_bias))[:length]
        x, ylabel = np.arange(len(weights)), "factor of the weight of a step"
        lines = profiles.by_head(self, weights)
        return [profiles.Curves(profiles.LAG, ylabel, x, lines)]

    def example_weights(self):
        lags = -np.arange(self.lag_bias.shape[0])
        return [(self.lag_bias, np.outer(lags, (0.1, 0.5)))]

    def get_config(self):
        return {
            **super().get_config(),
            "block_size": self.block_size,
            "num_states": self.num_states,
            "gate": self.gate,
        }
