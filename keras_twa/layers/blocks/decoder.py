"""A Transformer decoder block around any attention layers."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.blocks.block import TransformerBlock
from keras_twa.layers.blocks.block import results_of
from keras_twa.layers.blocks.cross_times import numbers_of_both
from keras_twa.layers.blocks.cross_times import real_steps
from keras_twa.layers.blocks.cross_times import with_times
from keras_twa.layers.blocks.packed import check_segments
from keras_twa.layers.blocks.packed import real_and_segments
from keras_twa.layers.blocks.source import check_source
from keras_twa.layers.blocks.source import check_times_of_both
from keras_twa.layers.blocks.source import refuse
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding
from keras_twa.ops.packing import count


@keras.saving.register_keras_serializable(package="keras_twa")
class TransformerDecoder(TransformerBlock):
    """One decoder block: causal self-attention, cross-attention, feed-forward network.

    Each of the three is a residual branch with dropout. Layer normalisation follows the
    sum, `x = norm(x + f(x))`, or with `normalize_first=True`, precedes the branch,
    `x = x + f(norm(x))`.

    If the first call, or `build`, has no encoder sequence, the block has no
    cross-attention, as in decoder-only models.

    Args:
        intermediate_dim: Width of the feed-forward network.
        num_heads: Number of attention heads. Each gets the width of the decoder
            sequence divided by this.
        attention: The self-attention: a name that `keras_twa.layers.get` accepts, such
            as "temporal_weighted", or an attention layer, of this package or of Keras.
            Defaults to "dot_product".
        cross_attention: The attention to the encoder sequence, likewise; it must
            support cross-attention. Defaults to "dot_product".
        dropout: Dropout rate of the branches. It does not apply to attention weights:
            for that, pass a layer with its own `dropout`.
        activation: Activation of the "dense" feed-forward network: a Keras activation,
            "swiglu" or "geglu". Defaults to "relu".
        layer_norm_epsilon: Epsilon of the layer normalisations.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        normalize_first: Whether layer normalisation precedes each branch.
        feed_forward: "dense", dense layers applied to each step; or "channel_mixing",
            the network of RWKV, which also sees the step before. Defaults to "dense".
        remat: Whether activations inside the block are recomputed in the backward pass
            (gradient checkpointing), which saves memory and costs time. It applies in
            training, to calls without a state. Defaults to `False`.

    Call arguments:
        decoder_sequence: `(B, T, F)`.
        encoder_sequence: `(B, S, G)`, if the block has cross-attention. Not with an
            `initial_state`, which holds its projections.
        decoder_padding_mask: Boolean `(B, T)`, `True` for real steps. Defaults to the
            mask that the decoder sequence carries.
        decoder_attention_mask: Boolean `(B, T, T)`, `True` to attend.
        encoder_padding_mask: Boolean `(B, S)`, `True` for real steps. Defaults to the
            mask that the encoder sequence carries. Not with an `initial_state`.
        encoder_attention_mask: Boolean `(B, T, S)`.
        training: Whether dropout is active.
        use_causal_mask: Whether self-attention sees only the step itself and earlier
            steps. Defaults to `True`.
        decoder_positions: Times of the steps, `(T,)` or `(B, T)`. Defaults to 0 ...
            T-1; with a state, these continue from it.
        encoder_positions: Times of the encoder's steps, `(S,)` or `(B, S)`. Defaults to
            0 ... S-1. Not with an `initial_state`.
        initial_state: The state that an earlier call or step returned, or
            `initial_state(B)`. Requires a causal call.
        return_state: Whether to return the state too.
        return_attention_scores: Whether to return the attention weights too.
        decoder_segment_ids: Integer `(B, T)`: the segments of packed rows, 0 for
            padding. Steps see only their own segment. Requires attention that supports
            it, and a call without a state.
        encoder_segment_ids: Integer `(B, S)`: those of the encoder sequence. Steps see
            the encoder's steps of the same number.

    Returns:
        `(B, T, F)`; with `return_attention_scores`, also the weights of self-attention
        `(B, heads, T, T)` and of cross-attention `(B, heads, T, S)`; with
        `return_state`, also the state: a dictionary of the states of the
        "self_attention" and, with cross-attention, of the "cross_attention", the
        "count" of real steps so far `(B,)`, and with channel mixing the last input of
        the "feed_forward" network.

    Raises:
        ValueError: If an argument or a shape does not fit, if F is not divisible by
            `num_heads`, or if the cross-attention attends to its own sequence only.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import TransformerDecoder
    >>> block = TransformerDecoder(32, num_heads=2, attention="retention")
    >>> source, target = np.zeros((2, 9, 12)), np.zeros((2, 7, 16))
    >>> tuple(block(target, source).shape)
    (2, 7, 16)
    >>> state = block.initial_state(2, encoder_sequence=source)
    >>> output, state = block.step(target[:, 0], state)
    >>> tuple(output.shape)
    (2, 16)

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); [Xiong et al.,
        2020](https://arxiv.org/abs/2002.04745) on the position of the normalisation.
    """

    own_arguments = "decoder_"

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        attention="dot_product",
        cross_attention="dot_product",
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
            attentions={"attention": attention, "cross_attention": cross_attention},
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

    def build(self, decoder_sequence_shape, encoder_sequence_shape=None):
        shape = decoder_sequence_shape
        self._build_attention("self_attention", self.attention, shape, shape)
        self.cross_attention_layer = None
        if encoder_sequence_shape is not None:
            self._build_attention(
                "cross_attention", self.cross_attention, shape, encoder_sequence_shape
            )
            if not getattr(self.cross_attention_layer, "cross_attention", True):
                checks.crosses(self.cross_attention_layer)
        self._build_feed_forward(shape)

    def initial_state(
        self,
        batch_size,
        dtype=None,
        max_length=None,
        encoder_sequence=None,
        encoder_padding_mask=None,
        encoder_positions=None,
    ):
        """The state before the first step.

        Args:
            batch_size: B.
            dtype: Dtype of the inputs, keys and values of the decoder sequence.
                Defaults to the compute dtype.
            max_length: Number of steps that it has room for; see
                `keras_twa.layers.DotProductAttention.initial_state`.
            encoder_sequence: `(B, S, G)`, if the block has cross-attention.
            encoder_padding_mask: Boolean `(B, S)`, `True` for real steps.
            encoder_positions: Times of the encoder's steps, `(S,)` or `(B, S)`.

        Returns:
            A dictionary like the one that a call with `return_state` returns.
        """
        checks.built(self)
        check_source(
            self.cross_attention_layer is not None,
            encoder_sequence=encoder_sequence,
            encoder_padding_mask=encoder_padding_mask,
            encoder_positions=encoder_positions,
        )
        layer = self.self_attention_layer
        state = {"self_attention": layer.initial_state(batch_size, dtype, max_length)}
        if self.cross_attention_layer is not None:
            state["cross_attention"] = self.cross_attention_layer.project(
                encoder_sequence,
                value_mask=encoder_padding_mask,
                key_positions=encoder_positions,
            )
            state["count"] = ops.zeros((batch_size,), "int32")
        return {**state, **self._initial_feed_forward(batch_size, dtype)}

    def call(
        self,
        decoder_sequence,
        encoder_sequence=None,
        decoder_padding_mask=None,
        decoder_attention_mask=None,
        encoder_padding_mask=None,
        encoder_attention_mask=None,
        training=None,
        use_causal_mask=True,
        decoder_positions=None,
        encoder_positions=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        decoder_segment_ids=None,
        encoder_segment_ids=None,
    ):
        real = decoder_padding_mask
        if real is None:
            real = carried_mask(decoder_sequence)
        of_source = {
            "encoder_sequence": encoder_sequence,
            "encoder_padding_mask": encoder_padding_mask,
            "encoder_positions": encoder_positions,
        }
        self._check_call(
            decoder_sequence,
            real,
            decoder_positions,
            initial_state,
            encoder_segment_ids=encoder_segment_ids,
            **of_source,
        )
        if encoder_padding_mask is None and encoder_sequence is not None:
            encoder_padding_mask = carried_mask(encoder_sequence)
        crosses = self.cross_attention_layer is not None
        streams = return_state or initial_state is not None
        sequences = {"decoder_segment_ids": (decoder_segment_ids, decoder_sequence)}
        if crosses:
            sequences["encoder_segment_ids"] = (encoder_segment_ids, encoder_sequence)
        layers = self.self_attention_layer, self.cross_attention_layer
        check_segments(layers[: 1 + crosses], sequences, streams)
        real, ids = real_and_segments(real, decoder_segment_ids)
        encoder_padding_mask, source_ids = real_and_segments(
            encoder_padding_mask, encoder_segment_ids
        )
        before = initial_state
        if streams and before is None:
            before = self.initial_state(ops.shape(decoder_sequence)[0], **of_source)
        # The entries of the next state for cross-attention.
        held = {}
        if streams and crosses:
            held["cross_attention"] = before["cross_attention"]
            steps = real_steps(real, decoder_sequence)
            held["count"] = before["count"] + count(steps)
        numbered = None
        if self._cross_by_time and decoder_positions is None:
            numbered = numbers_of_both(
                (decoder_sequence, real, ids),
                (encoder_sequence, encoder_padding_mask, source_ids),
                before if streams else None,
            )

        def branches(x, source, times, source_times):
            flags = training, return_attention_scores
            shared = {"query_mask": real, "segment_ids": ids}
            x, weights, state = self._attention_branch(
                "self_attention",
                x,
                *flags,
                return_state,
                value_mask=real,
                attention_mask=decoder_attention_mask,
                use_causal_mask=use_causal_mask,
                initial_state=before["self_attention"] if streams else None,
                query_positions=times,
                **shared,
            )
            results = [weights] if return_attention_scores else []
            if crosses:
                others = {"value": source, "value_mask": encoder_padding_mask}
                if streams:
                    others = {"projected": before["cross_attention"]}
                if self._cross_by_time:
                    both = (times, source_times) if numbered is None else numbered
                    others |= with_times(others, *both)
                x, weights, _ = self._attention_branch(
                    "cross_attention",
                    x,
                    *flags,
                    attention_mask=encoder_attention_mask,
                    key_segment_ids=source_ids,
                    **shared,
                    **others,
                )
                results += [weights] if return_attention_scores else []
            x, last = self._feed_forward_branch(x, real, training, before, ids)
            if return_state:
                results.append({"self_attention": state, **held, **last})
            return x, *results

        # Layer normalisation of NaN in padding would make the gradient of its scale
        # NaN.
        x = hide_padding(ops.cast(decoder_sequence, self.compute_dtype), real)
        times, source_times = (
            None if given is None else ops.cast(given, "float32")
            for given in (decoder_positions, encoder_positions)
        )
        tensors = (x, encoder_sequence, times, source_times)
        results = self._run(branches, tensors, training, streams)
        return results if len(results) > 1 else results[0]

    @property
    def _cross_by_time(self):
        """Whether there is cross-attention that depends on times."""
        return getattr(self.cross_attention_layer, "by_time", False)

    def compute_output_shape(self, decoder_sequence_shape, encoder_sequence_shape=None):
        return decoder_sequence_shape

    def compute_output_spec(
        self,
        decoder_sequence,
        encoder_sequence=None,
        decoder_padding_mask=None,
        encoder_padding_mask=None,
        use_causal_mask=True,
        decoder_positions=None,
        encoder_positions=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        **kwargs,
    ):
        x, source = decoder_sequence, encoder_sequence
        output = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        self._check_call(
            x,
            decoder_padding_mask,
            decoder_positions,
            initial_state,
            encoder_sequence=source,
            encoder_padding_mask=encoder_padding_mask,
            encoder_positions=encoder_positions,
        )
        if not return_attention_scores and not return_state:
            return output
        before = {} if initial_state is None else initial_state
        _, weights, state = results_of(
            self.self_attention_layer.compute_output_spec,
            x,
            return_attention_scores,
            return_state,
            use_causal_mask=use_causal_mask,
            initial_state=before.get("self_attention"),
        )
        results = [weights] if return_attention_scores else []
        state = {"self_attention": state, **self._next_feed_forward(x.shape[0])}
        layer = self.cross_attention_layer
        if layer is not None and return_attention_scores:
            projected = before.get("cross_attention")
            _, weights, _ = results_of(
                layer.compute_output_spec, x, True, value=source, projected=projected
            )
            results.append(weights)
        if layer is not None and return_state:
            state["cross_attention"] = before.get("cross_attention")
            if initial_state is None:
                masked = encoder_padding_mask is not None
                masked = masked or carried_mask(source) is not None
                state["cross_attention"] = layer.projected_spec(
                    *source.shape[:2], masked, encoder_positions is not None
                )
            state["count"] = keras.KerasTensor((x.shape[0],), dtype="int32")
        results += [state] if return_state else []
        return output, *results

    def _check_call(self, x, padding_mask, positions, state, **source):
        """Raises if the arguments do not fit, before anything is computed."""
        checks.padding("decoder_padding_mask", padding_mask, x)
        checks.positions("decoder_positions", positions, x)
        names = {"self_attention"}
        if self.cross_attention_layer is not None:
            names |= {"cross_attention", "count"}
        self._check_state(state, names, x.shape[0])
        if self._cross_by_time:
            check_times_of_both(positions, source["encoder_positions"], state)
        if state is None:
            check_source(self.cross_attention_layer is not None, **source)
        else:
            why = "An `initial_state` holds the projections of the encoder sequence."
            refuse(source, why)
