"""Local attention: each step sees the steps around it."""

from typing import ClassVar

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers import profiles
from keras_twa.layers.attention import cache
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.streaming import Slot
from keras_twa.layers.attention.streaming import Streaming
from keras_twa.masks import AttentionMask
from keras_twa.masks import real_keys
from keras_twa.ops import local_attention
from keras_twa.ops.gather import steps_at
from keras_twa.ops.local import chosen
from keras_twa.ops.local import first_real
from keras_twa.ops.packing import count
from keras_twa.ops.packing import latest
from keras_twa.ops.packing import numbers

# What a state holds of steps, and the names of the same of global tokens.
WIDE, GLOBAL = ("key", "value"), "global_"


@keras.saving.register_keras_serializable(package="keras_twa")
class LocalAttention(Attention):
    """Multi-head softmax attention within a sliding window, with global tokens.

    Per head, `softmax(q_i . k_j / sqrt(D)) v_j` over the keys with `|i - j| < window`,
    and `j <= i` under a causal mask. A window counts the step itself: with `window=1` a
    step sees nothing else. It counts steps, not their times.

    The first `num_global_tokens` real steps, such as a class token or a question, are
    seen by all steps, and see all; under a causal mask, by those after them only. They
    have the same projections as the others.

    Scores of other pairs are not computed, unless the length is unknown or weights are
    dropped, returned, or masked pair by pair.

    Cost: O(T (window + num_global_tokens) D) time, O(T) memory; otherwise O(T^2 D)
    time. Decoding holds the keys and values of `window - 1 + num_global_tokens` steps.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
        use_bias: Whether projections have a bias. Defaults to `True`.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        window: How many steps back a step sees, itself among them, and as many ahead
            unless the call is causal. Defaults to 128.
        num_global_tokens: How many of the first real steps are global. Defaults to 0.
        kernel_initializer: Initializer of the projection kernels.
        bias_initializer: Initializer of the projection biases.
        kernel_regularizer: Regularizer of the projection kernels.
        bias_regularizer: Regularizer of the projection biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels.
        bias_constraint: Constraint on the projection biases.
        seed: Seed of the dropout.
        positions: "rotary", or such a layer: positions inside of the attention.
            Defaults to `None`.
        attention_axes: The axes that are attended, of inputs with more than three; see
            `DotProductAttention`. Defaults to all but batch and features.

    Call arguments:
        query: `(B, T, F)`, or with further axes of lengths `(B, ..., F)`.
        value: The query. Defaults to `query`: there is self-attention only.
        key: The query. Defaults to `value`.
        query_mask: Boolean `(B, T)`, `True` for real steps.
        value_mask: Boolean `(B, T)`.
        key_mask: Boolean `(B, T)`.
        attention_mask: Boolean `(T, T)`, `(B, T, T)` or `(B, H, T, T)`, `True` to
            attend.
        return_attention_scores: Also return the weights. They need O(T^2) memory.
        training: Whether dropout is active.
        use_causal_mask: Whether a step sees only itself and steps before.
        query_positions: Times of the steps, `(T,)` or `(B, T)`. For `positions` only,
            0 ... T-1 by default.
        key_positions: The times of the steps.
        initial_state: The state that a call or a step before this one returned, or
            `initial_state(B)`. Needs a causal call.
        return_state: Whether to return the state too.
        projected: Not for this layer, which attends to its own sequence only.

    Returns:
        `(B, T, output_shape)`; with `return_attention_scores`, also the attention
        weights `(B, H, T, T)` in float32; with `return_state`, also the state: "key"
        and "value" `(B, window - 1, H, width)`, and which of them are "real"; with
        global tokens, also these as "global_key", "global_value", "global_real"; and if
        queries turn, how many real steps there were, "count" `(B,)`.

    Raises:
        ValueError: If a size or the window is not positive, the number of global tokens
            is negative, or a shape does not fit.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import LocalAttention
    >>> layer = LocalAttention(num_heads=2, key_dim=8, window=3)
    >>> x = np.ones((4, 10, 16), "float32")
    >>> tuple(layer(x, x, use_causal_mask=True).shape)
    (4, 10, 16)
    >>> tuple(layer.initial_state(4)["key"].shape)
    (4, 2, 2, 8)

    Reference:
        [Beltagy et al., 2020](https://arxiv.org/abs/2004.05150)
    """

    cross_attention = False
    rotary = True
    counts_steps = True
    linear_time = True
    search_space: ClassVar[dict] = {"window": (128, 8, 32)}
    small_options: ClassVar[dict] = {"window": 8, "num_global_tokens": 2}

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        window=128,
        num_global_tokens=0,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, dropout, use_bias, output_shape, **kwargs
        )
        checks.positive_integer(window=window)
        checks.whole_number(num_global_tokens=num_global_tokens)
        self.window = window
        self.num_global_tokens = num_global_tokens

    def attend(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
    ):
        return local_attention(
            heads["query"],
            heads["key"],
            heads["value"],
            self.window,
            mask,
            dropout,
            return_weights,
            self.num_global_tokens,
        )

    def extend(self, state, heads, mask, positions):
        steps = real_keys(mask, *ops.shape(heads["query"])[:2])
        tokens = {name: x for name, x in state.items() if name.startswith(GLOBAL)}
        held = {name: state[name] for name in ("key", "value", "real")}
        held, heads = cache.join(held, heads, mask)
        real, counted = held["real"], numbers(held["real"])
        if tokens:
            # Global tokens come first, as they did in the sequence.
            joined = {
                name: ops.concatenate([tokens[GLOBAL + name], x], axis=1)
                for name, x in held.items()
            }
            real = joined["real"]
            select = first_real(real, self.num_global_tokens)
            tokens = {GLOBAL + name: chosen(select, joined[name]) for name in WIDE}
            tokens[GLOBAL + "real"] = ops.any(select, axis=2)
            heads |= {name: ops.cast(joined[name], heads[name].dtype) for name in WIDE}
            # From now on they are there, and not in a window.
            taken = ops.any(select, axis=1)[:, self.num_global_tokens :]
            held["real"] = ops.logical_and(held["real"], ops.logical_not(taken))
            # Where they stand is never asked: all see them.
            counted = ops.pad(counted, [[0, 0], [self.num_global_tokens, 0]])
        last = latest(held["real"], self.window - 1)
        held = {name: steps_at(x, last) for name, x in held.items()}
        if self.turns:
            held["count"] = self.steps_before(state) + count(steps)
        # What is not real is not seen: so is what the first window begins with.
        mask = AttentionMask(True, mask.queries, real, steps=counted)
        return {**held, **tokens}, heads, mask, positions, None

    def steps_before(self, state):
        return state["count"]

    def state_spec(self, dtype=None, max_length=None):
        dtype = dtype or self.compute_dtype

        def slots(steps):
            return {
                "key": Slot((steps, self.num_heads, self.key_dim), dtype),
                "value": Slot((steps, self.num_heads, self.value_dim), dtype),
                "real": Slot((steps,), "bool"),
            }

        spec, tokens = slots(self.window - 1), slots(self.num_global_tokens)
        if self.num_global_tokens:
            spec |= {GLOBAL + name: slot for name, slot in tokens.items()}
        return {**spec, "count": Slot((), "int32")} if self.turns else spec

    def keys_seen(self, state, steps):
        held = self.window - 1 + self.num_global_tokens
        return None if steps is None else held + steps

    next_state_shapes = Streaming.next_state_shapes

    def position_profile(self, length):
        return [profiles.seen_pairs(self, length)]

    def get_config(self):
        return {
            **super().get_config(),
            "window": self.window,
            "num_global_tokens": self.num_global_tokens,
        }
