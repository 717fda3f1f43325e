"""Transformer-XL's attention: relative positions, and a memory of earlier inputs."""

import math

import keras
import numpy as np
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention import cache
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.streaming import Slot
from keras_twa.layers.attention.streaming import Streaming
from keras_twa.masks import AttentionMask
from keras_twa.masks import real_keys
from keras_twa.ops import relative_attention
from keras_twa.ops.gather import steps_at
from keras_twa.ops.packing import latest
from keras_twa.ops.packing import numbers
from keras_twa.ops.transformer_xl import sinusoids


@keras.saving.register_keras_serializable(package="keras_twa")
class TransformerXLAttention(Attention):
    """Multi-head attention to contents and to lags, with a memory of earlier segments.

    Per head, `softmax(((q_i + u) . k_j + (q_i + v) . W R(t_i - t_j)) / sqrt(D)) v_j`,
    where `R` are the sines and cosines of the lag at `position_dim / 2` rates, from 1
    down to nearly 1 / 10,000, and `u`, `v` and `W` are learned. Lags are those of the
    times of queries and keys: real timestamps as well as the numbers of the steps.

    A long sequence comes in segments. What a call returns as state is the input of the
    last `memory_length` steps; the next call projects it again, with the weights that
    it has then, and attends to it, too. No gradient goes through the memory. A call
    sees the memory and the steps of its own: so segments of any lengths give what one
    call gives as long as the memory holds all steps before. A shorter one forgets the
    others, while a call without a state forgets nothing.

    Cost: that of dot-product attention with heads of width D + `position_dim`; and with
    a state, O(`memory_length` F H D) to project it, in each call. To generate, each
    step pays that: hand on longer calls where you can.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
        use_bias: Whether projections have a bias. `u` and `v` are there in any case.
            Defaults to `True`.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        position_dim: Width P of the encoding of a lag, an even number. Defaults to
            `key_dim`, or one more if that is odd.
        memory_length: How many real steps of each row a state holds. Defaults to 128.
        kernel_initializer: Initializer of the projection kernels and of `W`.
        bias_initializer: Initializer of the projection biases, `u` and `v`.
        kernel_regularizer: Regularizer of the projection kernels and of `W`.
        bias_regularizer: Regularizer of the projection biases, `u` and `v`.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels and on `W`.
        bias_constraint: Constraint on the projection biases, `u` and `v`.
        seed: Seed of the dropout.
        attention_axes: The axes that are attended, of inputs with more than three; see
            `DotProductAttention`. Defaults to all but batch and features.

    Call arguments:
        query: `(B, T, F)`, or with further axes of lengths `(B, ..., F)`.
        value: `(B, S, F)`. Defaults to `query`: self-attention.
        key: `(B, S, F)`. Defaults to `value`.
        query_mask: Boolean `(B, T)`, `True` for real steps.
        value_mask: Boolean `(B, S)`.
        key_mask: Boolean `(B, S)`.
        attention_mask: Boolean `(T, S)`, `(B, T, S)` or `(B, H, T, S)`, `True` to
            attend.
        return_attention_scores: Also return the weights. They need O(T S) memory.
        training: Whether dropout is active.
        use_causal_mask: Whether query `i` sees only keys `j <= i + S - T`.
        query_positions: Times of the queries, `(T,)` or `(B, T)`. Defaults to
            0 ... T-1, or with a state to those that follow its last time.
        key_positions: Times of the keys, `(S,)` or `(B, S)`. Defaults to 0 ... S-1, and
            in self-attention to the times of the queries.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs causal self-attention.
        return_state: Whether to return the state too.
        projected: What `project` made of a sequence, in the place of `value`, `key`,
            their masks and positions.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, S)` in float32, and with a state, S = `memory_length` + T;
        with `return_state`, also the state: the inputs of earlier steps, "memory"
        `(B, memory_length, F)`, which of them are "real", and their "time" from the
        last one, both `(B, memory_length)`; and the time of that one, "last" `(B,)`.

    Raises:
        ValueError: If a size is not positive, `position_dim` is odd, or a shape does
            not fit; or if a state is asked for before the layer knows F.

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
        # Each rate has a sine and a cosine.
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
        self.position_bias = self.add_weight(heads, name="position_bias", **of_bias)
        self.position_kernel = self.add_weight(
            (self.position_dim, *heads), name="position_kernel", **of_kernel
        )

    def attend(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
    ):
        return relative_attention(
            heads["query"],
            heads["key"],
            heads["value"],
            self.content_bias,
            self.position_bias,
            self.position_kernel,
            mask,
            query_positions,
            key_positions,
            dropout,
            return_weights,
        )

    def remember(self, inputs, mask, state):
        if state is None:
            return inputs, {}
        x, memory = inputs["value"], state["memory"]
        seen = ops.concatenate([ops.cast(memory, x.dtype), x], axis=1)
        real = ops.concatenate(
            [state["real"], real_keys(mask, *ops.shape(x)[:2])], axis=1
        )
        held = steps_at(seen, latest(real, self.memory_length))
        inputs = {**inputs, "key": seen, "value": seen}
        return inputs, {"memory": ops.stop_gradient(ops.cast(held, memory.dtype))}

    def extend(self, state, heads, mask, positions):
        shape = ops.shape(heads["query"])[:2]
        # Times from the last real step on: so these stay small, and keep their digits,
        # however long a stream is.
        origin = state["last"][:, None]
        if positions is None:
            after = ops.cast(numbers(real_keys(mask, *shape), 1), "float32")
        else:
            after = ops.broadcast_to(positions, shape) - origin
        times = {name: state[name] for name in ("real", "time")}
        times, heads = cache.join(times, heads, mask, after)
        # All that a single step can see is before it.
        single = isinstance(shape[1], int) and shape[1] == 1
        mask = AttentionMask(not single, mask.queries, times["real"])
        held = latest(times["real"], self.memory_length)
        held = {name: steps_at(x, held) for name, x in times.items()}
        passed = ops.where(held["real"][:, -1:], held["time"][:, -1:], 0.0)
        held["time"] = held["time"] - passed
        held["last"] = (origin + passed)[:, 0]
        return held, heads, mask, after, times["time"]

    def state_spec(self, dtype=None, max_length=None):
        checks.built(self)
        held = self.memory_length
        return {
            "memory": Slot((held, self._features), dtype or self.compute_dtype),
            "real": Slot((held,), "bool"),
            "time": Slot((held,), "float32"),
            # The first step is number 0.
            "last": Slot((), "float32", -1.0),
        }

    def keys_seen(self, state, steps):
        return None if steps is None else self.memory_length + steps

    next_state_shapes = Streaming.next_state_shapes

    def position_profile(self, length):
        lags = np.arange(1 - length, length)
        waves = sinusoids(ops.convert_to_tensor(lags, "float32"), self.position_dim)
        # p: rates, h: heads, d: width of a head.
        bias = np.einsum(
            "tp,phd,hd->th",
            ops.convert_to_numpy(waves),
            ops.convert_to_numpy(self.position_kernel),
            ops.convert_to_numpy(self.position_bias),
        )
        weights = np.exp(bias / math.sqrt(self.key_dim))
        ylabel = "factor of a weight, whatever the query"
        lines = profiles.by_head(self, weights)
        return [profiles.Curves(profiles.SIGNED_LAG, ylabel, lags, lines)]

    def example_weights(self):
        shape = self.position_bias.shape
        return [(self.position_bias, np.random.default_rng(1).normal(size=shape))]

    def get_config(self):
        return {
            **super().get_config(),
            "position_dim": self.position_dim,
            "memory_length": self.memory_length,
        }
