"""Transformer-XL's attention: relative positions, and a memory of earlier inputs."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention.pairs import PairAttention
from keras_twa.layers.attention.states import InputMemory
from keras_twa.ops import relative_attention
from keras_twa.ops.softmax.transformer_xl import sinusoids


@keras.saving.register_keras_serializable(package="keras_twa")
class TransformerXLAttention(PairAttention):
    """Multi-head attention by content and by lag, with a memory of earlier segments.

    Per head, `softmax(((q_i + u) . k_j + (q_i + v) . W R(t_i - t_j)) / sqrt(D)) v_j`,
    where `R` consists of the sines and cosines of the lag at `position_dim / 2` rates,
    from 1 down to nearly 1 / 10,000, and `u`, `v` and `W` are learned. Lags are
    differences of times: real timestamps, or by default the numbers of the steps.

    A long sequence is processed in segments. The state that a call returns is the input
    of the last `memory_length` steps; the next call projects it again with its current
    model weights, and attends to it too. No gradient flows through the memory. A call
    sees the memory and its own steps, so segments of any length give the same outputs
    as one call, as long as the memory holds all earlier steps. A shorter memory forgets
    the oldest steps.

    Cost: that of dot-product attention with heads of width D + `position_dim`; and with
    a state, O(`memory_length` F H D) for projecting the memory in each call. Generation
    pays this at every step: pass several steps per call where possible.

    Args:
        use_bias: Whether projections have a bias. `u` and `v` exist in any case.
            Defaults to `True`.
        position_dim: Width P of the encoding of a lag, an even number. Defaults to
            `key_dim`, or one more if that is odd.
        memory_length: Number of real steps of each row that a state holds. Defaults to
            128.
        kernel_initializer: Initializer of the projection kernels and of `W`.
        bias_initializer: Initializer of the projection biases, `u` and `v`.
        kernel_regularizer: Regularizer of the projection kernels and of `W`.
        bias_regularizer: Regularizer of the projection biases, `u` and `v`.
        kernel_constraint: Constraint on the projection kernels and on `W`.
        bias_constraint: Constraint on the projection biases, `u` and `v`.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, S)` in float32, where S = `memory_length` + T with a state;
        with `return_state`, also the state: the inputs of earlier steps, "memory"
        `(B, memory_length, F)`; which of them are "real", and their "time" relative to
        the last one, both `(B, memory_length)`; and the time of the last one, "last"
        `(B,)`.

    Raises:
        ValueError: If a size is not positive, `position_dim` is odd, or a shape does
            not fit; or if a state is requested before the layer is built.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import TransformerXLAttention
    >>> layer = TransformerXLAttention(num_heads=2, key_dim=8, memory_length=10)
    >>> x = np.ones((4, 20, 16), "float32")
    >>> options = {"use_causal_mask": True, "return_state": True}
    >>> first, state = layer(x[:, :10], **options)
    >>> second, state = layer(x[:, 10:], initial_state=state, **options)
    >>> tuple(second.shape), tuple(state["memory"].shape)
    ((4, 10, 16), (4, 10, 16))

    Reference:
        [Dai et al., 2019](https://arxiv.org/abs/1901.02860)
    """

    uses_times = True
    state_gradient = False

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        position_dim=None,
        memory_length=128,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        position_dim = key_dim + key_dim % 2 if position_dim is None else position_dim
        checks.positive_integer(memory_length=memory_length)
        # Even, as each rate has a sine and a cosine.
        checks.positive_even_integer(position_dim=position_dim)
        self.position_dim = position_dim
        self.memory_length = memory_length

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        options = self._dense_options()
        of_kernel, of_bias = (
            {
                name: options[f"{kind}_{name}"]
                for name in ("initializer", "regularizer", "constraint")
            }
            for kind in ("kernel", "bias")
        )
        heads = (self.num_heads, self.key_dim)
        self.content_bias = self.add_weight(heads, name="content_bias", **of_bias)
        self.position_bias_weight = self.add_weight(
            heads, name="position_bias", **of_bias
        )
        self.position_kernel = self.add_weight(
            (self.position_dim, *heads), name="position_kernel", **of_kernel
        )

    def attend(self, call):
        return relative_attention(
            call["query"],
            call["key"],
            call["value"],
            self.content_bias,
            self.position_bias_weight,
            self.position_kernel,
            call.mask,
            call.query_times,
            call.key_times,
            call.dropout,
            call.return_weights,
        )

    def remember(self, inputs, mask, state):
        if state is None:
            return inputs, {}
        seen, memory = self.state_kind.add_inputs(state, inputs["value"], mask)
        return {**inputs, "key": seen, "value": seen}, {"memory": memory}

    @property
    def state_kind(self):
        checks.built(self)
        return InputMemory(self.memory_length, self._features)

    def position_profile(self, length):
        lags = np.arange(1 - length, length)
        waves = sinusoids(ops.convert_to_tensor(lags, "float32"), self.position_dim)
        # p: rates, h: heads, d: width of a head.
        bias = np.einsum(
            "tp,phd,hd->th",
            ops.convert_to_numpy(waves),
            ops.convert_to_numpy(self.position_kernel),
            ops.convert_to_numpy(self.position_bias_weight),
        )
        weights = np.exp(bias / math.sqrt(self.key_dim))
        ylabel = "factor of a weight, whatever the query"
        lines = profiles.by_head(self, weights)
        return [profiles.Curves(profiles.SIGNED_LAG, ylabel, lags, lines)]

    def example_weights(self):
        shape = self.position_bias_weight.shape
        return [
            (self.position_bias_weight, np.random.default_rng(1).normal(size=shape))
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "position_dim": self.position_dim,
            "memory_length": self.memory_length,
        }
