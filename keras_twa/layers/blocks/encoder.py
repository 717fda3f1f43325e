"""A Transformer encoder block around any attention layer."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.blocks.channel_mixing import ChannelMixing
from keras_twa.layers.blocks.feed_forward import FeedForward
from keras_twa.layers.registry import get
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding

# What a state calls the last input of the channel mixing.
LAST_INPUT = "last_input_of_feed_forward"


@keras.saving.register_keras_serializable(package="keras_twa")
class TransformerEncoder(keras.layers.Layer):
    """One encoder block: self-attention and a feed-forward network.

    Each of the two stands in a residual branch with dropout, and with layer
    normalisation after the sum (`x = norm(x + f(x))`), or before the branch with
    `normalize_first=True` (`x = x + f(norm(x))`).

    Args:
        intermediate_dim: Width of the feed-forward network.
        num_heads: Number of attention heads. Each gets the width of the input
            divided by this.
        attention: The attention: a name that `keras_twa.layers.get` knows, such as
            "temporal_weighted", or an attention layer. Defaults to "dot_product".
        dropout: Dropout rate of both branches. It does not reach the attention
            weights: give a layer with a `dropout` of its own for that.
        activation: Activation of the feed-forward network "dense". Defaults to
            "relu".
        layer_norm_epsilon: Epsilon of the layer normalisations.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        normalize_first: Whether layer normalisation precedes each branch.
        feed_forward: "dense", two dense layers applied to each step; or
            "channel_mixing", the network of RWKV, which also sees the step before and
            has an activation of its own. Defaults to "dense".

    Call arguments:
        inputs: `(B, T, F)`.
        padding_mask: Boolean `(B, T)`, `True` for real steps. Defaults to the
            mask that the inputs carry.
        attention_mask: Boolean `(B, T, T)`, `True` to attend.
        training: Whether dropout is active.
        return_attention_scores: Also return the attention weights.
        use_causal_mask: Whether each step sees only itself and the past.
        positions: Times of the steps, `(T,)` or `(B, T)`. Defaults to 0 ... T-1, or
            with a state to those after it.
        initial_state: The state of the attention that a call or a step before this one
            returned, or `initial_state(B)`. Needs a causal call.
        return_state: Whether to return the state too.

    Returns:
        `(B, T, F)`; with `return_attention_scores`, also the attention weights
        `(B, heads, T, T)`; with `return_state`, also the state of the attention.

    Raises:
        ValueError: If an argument or a shape does not fit, or if F is not
            divisible by `num_heads`.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import TransformerEncoder
    >>> block = TransformerEncoder(32, num_heads=2, attention="gravitational")
    >>> tuple(block(np.zeros((2, 7, 16), "float32")).shape)
    (2, 7, 16)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762);
        [Xiong et al., 2020](https://arxiv.org/abs/2002.04745) on the place of
        the normalisation.
    """

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        attention="dot_product",
        dropout=0.0,
        activation="relu",
        layer_norm_epsilon=1e-5,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=False,
        feed_forward="dense",
        **kwargs,
    ):
        # Autocasting would round positions to half precision on the way in.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        checks.positive_integer(intermediate_dim=intermediate_dim, num_heads=num_heads)
        checks.probability(dropout=dropout)
        checks.one_of(("dense", "channel_mixing"), feed_forward=feed_forward)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.attention = attention
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.feed_forward_kind = feed_forward
        self.supports_masking = True

    def build(self, inputs_shape):
        initializers = {
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
        }
        self._features = inputs_shape[-1]
        self.attention_layer = self._make_attention(inputs_shape, initializers)
        if not self.attention_layer.built:
            self.attention_layer.build(inputs_shape)
        self.attention_norm = self._norm("attention_norm")
        self.attention_norm.build(inputs_shape)
        self.feed_forward = self._make_feed_forward(initializers)
        self.feed_forward.build(inputs_shape)
        self.feed_forward_norm = self._norm("feed_forward_norm")
        self.feed_forward_norm.build(inputs_shape)
        self.attention_dropout = self._dropout()
        self.feed_forward_dropout = self._dropout()

    def initial_state(self, batch_size, dtype=None, max_length=None):
        """The state before the first step: that of the attention; see `Streaming`.

        With channel mixing, it also holds the last input of that: `LAST_INPUT`.
        """
        state = self.attention_layer.initial_state(batch_size, dtype, max_length)
        if self.feed_forward_kind == "channel_mixing":
            shape = (batch_size, self._features)
            state[LAST_INPUT] = ops.zeros(shape, dtype or self.compute_dtype)
        return state

    def step(self, token, state, mask=None, position=None):
        """Takes one step of a causal block.

        Args:
            token: `(B, F)`.
            state: From `initial_state`, a step, or a call with `return_state=True`.
            mask: Boolean `(B,)`, `True` where the token is real. Defaults to all.
            position: Times of the tokens `(B,)`. Defaults to how many came before.

        Returns:
            The output `(B, F)`, and the next state.
        """
        outputs, state = self(
            token[:, None],
            padding_mask=None if mask is None else mask[:, None],
            use_causal_mask=True,
            positions=None if position is None else position[:, None],
            initial_state=state,
            return_state=True,
        )
        return outputs[:, 0], state

    def call(
        self,
        inputs,
        padding_mask=None,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=False,
        positions=None,
        initial_state=None,
        return_state=False,
    ):
        if padding_mask is None:
            padding_mask = carried_mask(inputs)

        checks.padding("padding_mask", padding_mask, inputs)
        # Normalising NaN in a padded step would spoil the gradient of its scale.
        x = hide_padding(ops.cast(inputs, self.compute_dtype), padding_mask)
        # Attention that is not of this package need not know what a state is.
        state, last = self._split_state(initial_state)
        states = {"initial_state": state, "return_state": return_state}
        streams = return_state or initial_state is not None
        found = []

        def attend(x):
            outputs = self.attention_layer(
                x,
                x,
                query_mask=padding_mask,
                value_mask=padding_mask,
                attention_mask=attention_mask,
                return_attention_scores=return_attention_scores,
                training=training,
                use_causal_mask=use_causal_mask,
                query_positions=positions,
                **(states if streams else {}),
            )
            if return_attention_scores or return_state:
                outputs, *found[:] = outputs
            return self.attention_dropout(outputs, training=training)

        def feed_forward(x):
            options = {"training": training, "padding_mask": padding_mask}
            if streams and self.feed_forward_kind == "channel_mixing":
                outputs, now = self.feed_forward(
                    x, previous=last, return_last=True, **options
                )
                if return_state:
                    found[-1] = {**found[-1], LAST_INPUT: now}
            else:
                outputs = self.feed_forward(x, **options)
            return self.feed_forward_dropout(outputs, training=training)

        x = self._residual(x, attend, self.attention_norm)
        x = self._residual(x, feed_forward, self.feed_forward_norm)
        return (x, *found) if found else x

    def _split_state(self, state):
        """The state of the attention, and the last input of the channel mixing."""
        if state is None or self.feed_forward_kind != "channel_mixing":
            return state, None
        if LAST_INPUT not in state:
            raise ValueError(
                "`initial_state` must be what `initial_state(batch_size)` of this "
                f"block gives, or an earlier call returned. Received: {sorted(state)}"
            )
        return {k: x for k, x in state.items() if k != LAST_INPUT}, state[LAST_INPUT]

    def _residual(self, x, branch, norm):
        if self.normalize_first:
            return x + branch(norm(x))
        return norm(x + branch(x))

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def compute_output_spec(
        self,
        inputs,
        return_attention_scores=False,
        use_causal_mask=False,
        initial_state=None,
        return_state=False,
        **kwargs,
    ):
        output = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores and not return_state:
            return output
        state, _ = self._split_state(initial_state)
        _, *found = self.attention_layer.compute_output_spec(
            inputs,
            inputs,
            return_attention_scores=return_attention_scores,
            use_causal_mask=use_causal_mask,
            initial_state=state,
            return_state=return_state,
        )
        if return_state and self.feed_forward_kind == "channel_mixing":
            last = (inputs.shape[0], inputs.shape[2])
            last = keras.KerasTensor(last, dtype=self.compute_dtype)
            found[-1] = {**found[-1], LAST_INPUT: last}
        return output, *found

    def _make_attention(self, inputs_shape, initializers):
        if isinstance(self.attention, keras.layers.Layer):
            return self.attention
        features = inputs_shape[-1]
        if features % self.num_heads:
            raise ValueError(
                "The number of features must be divisible by `num_heads`. Received: "
                f"inputs of shape {tuple(inputs_shape)}, num_heads={self.num_heads}"
            )
        return get(
            self.attention,
            num_heads=self.num_heads,
            key_dim=features // self.num_heads,
            dtype=self.dtype_policy,
            name="attention",
            **initializers,
        )

    def _make_feed_forward(self, initializers):
        options = {**initializers, "dtype": self.dtype_policy, "name": "feed_forward"}
        if self.feed_forward_kind == "channel_mixing":
            return ChannelMixing(self.intermediate_dim, **options)
        return FeedForward(self.intermediate_dim, self.activation, **options)

    def _norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )

    def _dropout(self):
        return keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "attention": keras.saving.serialize_keras_object(self.attention),
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
            "feed_forward": self.feed_forward_kind,
        }

    @classmethod
    def from_config(cls, config):
        attention = config["attention"]
        if not isinstance(attention, str):
            attention = keras.saving.deserialize_keras_object(attention)
        return cls(**{**config, "attention": attention})
