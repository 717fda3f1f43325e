"""A Transformer encoder block around any attention layer."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.blocks.block import TransformerBlock
from keras_twa.layers.blocks.block import results_of
from keras_twa.layers.blocks.packed import check_segments
from keras_twa.layers.blocks.packed import real_and_segments
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding


@keras.saving.register_keras_serializable(package="keras_twa")
class TransformerEncoder(TransformerBlock):
    """One encoder block: self-attention and a feed-forward network.

    Each of the two is a residual branch with dropout. Layer normalisation follows the
    sum, `x = norm(x + f(x))`, or with `normalize_first=True`, precedes the branch,
    `x = x + f(norm(x))`.

    Args:
        intermediate_dim: Width of the feed-forward network.
        num_heads: Number of attention heads. Each gets the width of the input
            divided by this.
        attention: The attention: a name that `keras_twa.layers.get` accepts, such as
            "temporal_weighted", or an attention layer, of this package or of Keras.
            Defaults to "dot_product".
        dropout: Dropout rate of both branches. It does not apply to attention weights:
            for that, pass a layer with its own `dropout`.
        activation: Activation of the "dense" feed-forward network: a Keras activation,
            "swiglu" or "geglu". Defaults to "relu".
        layer_norm_epsilon: Epsilon of the layer normalisations.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        normalize_first: Whether layer normalisation precedes each branch.
        feed_forward: "dense", two dense layers applied to each step; or
            "channel_mixing", the network of RWKV, which also sees the step before and
            has its own activation. Defaults to "dense".
        remat: Whether activations inside the block are recomputed in the backward pass
            (gradient checkpointing), which saves memory and costs time. It applies in
            training, to calls without a state. Defaults to `False`.

    Call arguments:
        inputs: `(B, T, F)`.
        padding_mask: Boolean `(B, T)`, `True` for real steps. Defaults to the
            mask that the inputs carry.
        attention_mask: Boolean `(B, T, T)`, `True` to attend.
        training: Whether dropout is active.
        return_attention_scores: Whether to return the attention weights too.
        use_causal_mask: Whether each step sees only itself and earlier steps.
        positions: Times of the steps, `(T,)` or `(B, T)`. Defaults to 0 ... T-1; with a
            state, these continue from it.
        initial_state: The state that an earlier call or step returned, or
            `initial_state(B)`. Requires a causal call.
        return_state: Whether to return the state too.
        segment_ids: Integer `(B, T)`: the segments of packed rows, 0 for padding. Steps
            see only their own segment. Requires an attention that supports it, and a
            call without a state.

    Returns:
        `(B, T, F)`; with `return_attention_scores`, also the attention weights
        `(B, heads, T, T)`; with `return_state`, also the state: a dictionary of the
        state of the "attention" and, with channel mixing, the last input of the
        "feed_forward" network.

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
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); [Xiong et al.,
        2020](https://arxiv.org/abs/2002.04745) on the position of the normalisation.
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
        remat=False,
        **kwargs,
    ):
        super().__init__(
            intermediate_dim=intermediate_dim,
            num_heads=num_heads,
            attentions={"attention": attention},
            dropout=dropout,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            normalize_first=normalize_first,
            feed_forward=feed_forward,
            remat=remat,
            **kwargs,
        )

    def build(self, inputs_shape):
        self._build_attention("attention", self.attention, inputs_shape, inputs_shape)
        self._build_feed_forward(inputs_shape)

    def initial_state(self, batch_size, dtype=None, max_length=None):
        """The state before the first step.

        Args:
            batch_size: B.
            dtype: Dtype of the inputs, keys and values in it. Defaults to the compute
                dtype.
            max_length: Number of steps that it has room for; see
                `keras_twa.layers.DotProductAttention.initial_state`.

        Returns:
            A dictionary of the state of the "attention" and, with channel mixing, the
            last input of the "feed_forward" network `(B, F)`.
        """
        checks.built(self)
        state = self.attention_layer.initial_state(batch_size, dtype, max_length)
        return {"attention": state, **self._initial_feed_forward(batch_size, dtype)}

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
        segment_ids=None,
    ):
        if padding_mask is None:
            padding_mask = carried_mask(inputs)
        checks.padding("padding_mask", padding_mask, inputs)
        self._check_state(initial_state, {"attention"}, inputs.shape[0])
        streams = return_state or initial_state is not None
        check_segments(
            [self.attention_layer], {"segment_ids": (segment_ids, inputs)}, streams
        )
        padding_mask, ids = real_and_segments(padding_mask, segment_ids)
        before = initial_state
        if return_state and before is None:
            before = self.initial_state(ops.shape(inputs)[0])
        options = {
            "query_mask": padding_mask,
            "value_mask": padding_mask,
            "attention_mask": attention_mask,
            "use_causal_mask": use_causal_mask,
            "segment_ids": ids,
        }
        if streams:
            options["initial_state"] = before["attention"]

        def branches(x, times):
            x, weights, state = self._attention_branch(
                "attention",
                x,
                training,
                return_attention_scores,
                return_state,
                query_positions=times,
                **options,
            )
            x, held = self._feed_forward_branch(x, padding_mask, training, before, ids)
            results = [x]
            results += [weights] if return_attention_scores else []
            results += [{"attention": state, **held}] if return_state else []
            return tuple(results)

        # Layer normalisation of NaN in padding would make the gradient of its scale
        # NaN.
        x = hide_padding(ops.cast(inputs, self.compute_dtype), padding_mask)
        times = None if positions is None else ops.cast(positions, "float32")
        results = self._run(branches, (x, times), training, streams)
        return results if len(results) > 1 else results[0]

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
        batch = inputs.shape[0]
        self._check_state(initial_state, {"attention"}, batch)
        before = {} if initial_state is None else initial_state
        _, weights, state = results_of(
            self.attention_layer.compute_output_spec,
            inputs,
            return_attention_scores,
            return_state,
            use_causal_mask=use_causal_mask,
            initial_state=before.get("attention"),
        )
        results = [output]
        results += [weights] if return_attention_scores else []
        if return_state:
            results.append({"attention": state, **self._next_feed_forward(batch)})
        return tuple(results)
