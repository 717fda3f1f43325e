"""The base class of Transformer blocks: residual branches with norm and dropout."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.conversion import masks_and_times
from keras_twa.layers.attention.states import Slot
from keras_twa.layers.blocks.channel_mixing import ChannelMixing
from keras_twa.layers.blocks.feed_forward import FeedForward
from keras_twa.layers.blocks.feed_forward import activation_of
from keras_twa.layers.blocks.feed_forward import serialized_activation
from keras_twa.layers.blocks.remat import rematerialised
from keras_twa.layers.normalization import LayerNormalization
from keras_twa.layers.quantized import described
from keras_twa.layers.quantized import dtype_config
from keras_twa.layers.registry import get
from keras_twa.layers.saved_texts import as_saved
from keras_twa.layers.saved_texts import to_save
from keras_twa.mechanism import as_texts


class TransformerBlock(keras.layers.Layer):
    """Abstract block: one or more attention layers, then a feed-forward network.

    Each of them is a residual branch with dropout. Layer normalisation either follows
    the sum or precedes the branch.

    Args:
        intermediate_dim: Width of the feed-forward network.
        num_heads: Number of attention heads.
        attentions: The name or layer of each attention, by the name of its argument.
        dropout: Dropout rate of the branches.
        activation: Activation of the "dense" feed-forward network.
        layer_norm_epsilon: Epsilon of the layer normalisations.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        normalize_first: Whether layer normalisation precedes each branch.
        feed_forward: "dense" or "channel_mixing".
        remat: Whether activations are recomputed in the backward pass (gradient
            checkpointing).
    """

    # How the names of the arguments for the block's own sequence begin.
    own_arguments = ""

    def __init__(
        self,
        *,
        intermediate_dim,
        num_heads,
        attentions,
        dropout,
        activation,
        layer_norm_epsilon,
        kernel_initializer,
        bias_initializer,
        normalize_first,
        feed_forward,
        remat,
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
        for name, attention in attentions.items():
            setattr(self, name, as_texts(attention))
        self._attentions = tuple(attentions)
        self.dropout = dropout
        self.activation = activation_of(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.feed_forward_kind = feed_forward
        self.remat = remat
        self.supports_masking = True

    def __call__(self, *args, **kwargs):
        # Keras would convert each number in nested lists to a tensor.
        return super().__call__(*args, **masks_and_times(kwargs))

    def step(self, token, state, mask=None, position=None):
        """Takes one step of a causal block.

        Args:
            token: `(B, F)`.
            state: From `initial_state`, a step, or a call with `return_state=True`.
            mask: Boolean `(B,)`, `True` where the token is real. Defaults to all.
            position: Times of the tokens `(B,)`. Defaults to the number of real steps
                before.

        Returns:
            The output `(B, F)`, and the next state.
        """
        given = {"padding_mask": mask, "positions": position}
        options = {
            f"{self.own_arguments}{name}": None if one is None else one[:, None]
            for name, one in given.items()
        }
        outputs, state = self(
            token[:, None],
            use_causal_mask=True,
            initial_state=state,
            return_state=True,
            **options,
        )
        return outputs[:, 0], state

    def _build_attention(self, name, attention, shape, source_shape):
        """Creates and builds an attention layer, its norm and its dropout."""
        layer = self._make_attention(attention, name, shape)
        if not layer.built:
            layer.build(shape, source_shape)
        setattr(self, f"{name}_layer", layer)
        self._build_branch(name, shape)

    def _build_feed_forward(self, shape):
        self._features = shape[-1]
        options = {**self._initializers(), "dtype": self.dtype_policy}
        options["name"] = "feed_forward"
        if self.feed_forward_kind == "channel_mixing":
            self.feed_forward = ChannelMixing(self.intermediate_dim, **options)
        else:
            self.feed_forward = FeedForward(
                self.intermediate_dim, self.activation, **options
            )
        self.feed_forward.build(shape)
        self._build_branch("feed_forward", shape)

    def _build_branch(self, name, shape):
        norm = LayerNormalization(
            epsilon=self.layer_norm_epsilon,
            dtype=self.dtype_policy,
            name=f"{name}_norm",
        )
        norm.build(shape)
        setattr(self, f"{name}_norm", norm)
        dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        setattr(self, f"{name}_dropout", dropout)

    def _make_attention(self, attention, name, shape):
        """The attention layer that was passed by name or as a layer."""
        if isinstance(attention, keras.layers.Layer):
            return attention
        features = shape[-1]
        if features % self.num_heads:
            raise ValueError(
                "The number of features must be divisible by `num_heads`. Received: "
                f"inputs of shape {tuple(shape)}, num_heads={self.num_heads}"
            )
        return get(
            attention,
            num_heads=self.num_heads,
            key_dim=features // self.num_heads,
            dtype=self.dtype_policy,
            name=name,
            **self._initializers(),
        )

    def _initializers(self):
        return {
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
        }

    def _attention_branch(self, name, x, training, scored, streams=False, **options):
        """Calls an attention layer, and adds its output to its input.

        Args:
            name: Name of the attention.
            x: `(B, T, F)`.
            training: Whether dropout is active.
            scored: Whether the attention returns its weights.
            streams: Whether it returns its state.
            **options: Other arguments of its call; see `results_of`.

        Returns:
            The sum `(B, T, F)`; the weights, or `None`; and the state, or `None`.
        """
        layer, inputs = getattr(self, f"{name}_layer"), self._branch_inputs(name, x)
        outputs, weights, state = results_of(
            layer, inputs, scored, streams, training=training, **options
        )
        return self._add_branch(name, x, outputs, training), weights, state

    def _branch_inputs(self, name, x):
        return getattr(self, f"{name}_norm")(x) if self.normalize_first else x

    def _add_branch(self, name, x, outputs, training):
        x = x + getattr(self, f"{name}_dropout")(outputs, training=training)
        return x if self.normalize_first else getattr(self, f"{name}_norm")(x)

    def _feed_forward_branch(self, x, padding_mask, training, state=None, ids=None):
        """Calls the feed-forward network, and adds its output to its input.

        Args:
            x: `(B, T, F)`.
            padding_mask: Boolean `(B, T)`, or `None`.
            training: Whether dropout is active.
            state: The state of the block before this call, or `None`.
            ids: The segments of packed rows, integer `(B, T)`, or `None`.

        Returns:
            The sum `(B, T, F)`, and a dictionary with the network's part of the next
            state of the block. It is empty without a state or without channel mixing.
        """
        inputs = self._branch_inputs("feed_forward", x)
        options = {"training": training, "padding_mask": padding_mask}
        held = {}
        shifts = self.feed_forward_kind == "channel_mixing"
        if shifts and ids is not None:
            options["segment_ids"] = ids
        if state is None or not shifts:
            outputs = self.feed_forward(inputs, **options)
        else:
            outputs, held["feed_forward"] = self.feed_forward(
                inputs, previous=state["feed_forward"], return_last=True, **options
            )
        return self._add_branch("feed_forward", x, outputs, training), held

    def _run(self, branches, tensors, training, streams):
        """Calls the branches; in training with `remat`, their activations are not kept.

        Calls with a state keep them: a state holds integers and booleans, which have no
        gradient, and such calls are short.
        """
        if self.remat and training and not streams:
            return rematerialised(self, branches, tensors)
        return branches(*tensors)

    def _feed_forward_state(self, dtype):
        """The `Slot`s of the feed-forward network in a state."""
        if self.feed_forward_kind != "channel_mixing":
            return {}
        return {"feed_forward": Slot((self._features,), dtype or self.compute_dtype)}

    def _check_state(self, state, names, batch):
        """Raises if a state does not fit the block."""
        if state is None:
            return
        slots = self._feed_forward_state(None)
        checks.parts(state, {*names, *slots})
        checks.state({name: state[name] for name in slots}, slots, batch)

    def _initial_feed_forward(self, batch_size, dtype):
        return {
            name: ops.full((batch_size, *slot.shape), slot.fill, slot.dtype)
            for name, slot in self._feed_forward_state(dtype).items()
        }

    def _next_feed_forward(self, batch):
        return {
            name: keras.KerasTensor((batch, *slot.shape), dtype=slot.dtype)
            for name, slot in self._feed_forward_state(None).items()
        }

    def get_config(self):
        return {
            **super().get_config(),
            **dtype_config(self),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            **{
                name: keras.saving.serialize_keras_object(to_save(getattr(self, name)))
                for name in self._attentions
            },
            "dropout": self.dropout,
            "activation": serialized_activation(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
            "feed_forward": self.feed_forward_kind,
            "remat": self.remat,
        }

    @classmethod
    def from_config(cls, config):
        given = {
            name: as_saved(config[name])
            for name in ("attention", "cross_attention")
            if name in config
        }
        layers = {
            name: described(attention)
            for name, attention in given.items()
            if isinstance(attention, dict)
        }
        return cls(**{**config, **given, **layers})


def results_of(attention, query, scored, streams=False, **options):
    """Calls an attention layer, and separates its results.

    Args:
        attention: An attention layer, or its `compute_output_spec`.
        query: `(B, T, F)`.
        scored: Whether it returns its weights.
        streams: Whether it returns its state.
        **options: Other arguments. Those that are `None` are left out, as an attention
            layer of another package need not know them. Without "value" and
            "projected", it is self-attention.

    Returns:
        The outputs; the weights, or `None`; and the state, or `None`.
    """
    options = {name: given for name, given in options.items() if given is not None}
    if not {"value", "projected"} & {*options}:
        options["value"] = query
    if streams:
        options["return_state"] = True
    results = attention(query, return_attention_scores=scored, **options)
    outputs, *others = results if scored or streams else (results,)
    return outputs, others[0] if scored else None, others[-1] if streams else None
