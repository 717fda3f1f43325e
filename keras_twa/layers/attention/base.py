"""What every attention layer shares: project, mix along the sequence, project back."""

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.axes import AnyAxes
from keras_twa.layers.attention.axes import takes_any_axes
from keras_twa.layers.attention.caching import Caching
from keras_twa.layers.attention.counting import Counting
from keras_twa.layers.attention.counting import packed
from keras_twa.layers.attention.counting import real_steps
from keras_twa.layers.attention.dense_options import DenseOptions
from keras_twa.layers.attention.positioned import Positioned
from keras_twa.layers.attention.positioned import times_at
from keras_twa.layers.attention.projecting import Projecting
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.quantized import dtype_config
from keras_twa.masks import AttentionMask
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding
from keras_twa.ops import WeightDropout


class Attention(
    Counting,
    Positioned,
    Caching,
    Projecting,
    AnyAxes,
    DenseOptions,
    keras.layers.Layer,
):
    """Abstract multi-head attention; a variant implements `attend`, nothing else.

    Constructor and call take what `keras.layers.MultiHeadAttention` takes, in the
    same order, so that any layer of this package fits where that one stood.

    Args:
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. Defaults to `key_dim`.
        dropout: Probability of dropping an attention weight in training.
        use_bias: Whether projections have a bias.
        output_shape: Width (or shape) of the output. Defaults to the query's.
        kernel_initializer: Initializer of the projection kernels.
        bias_initializer: Initializer of the projection biases.
        kernel_regularizer: Regularizer of the projection kernels.
        bias_regularizer: Regularizer of the projection biases.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on the projection kernels.
        bias_constraint: Constraint on the projection biases.
        seed: Seed of the dropout.
        positions: Positions inside of the attention: "rotary", "alibi", "t5", "shaw",
            or such a layer. Defaults to `None`.
        attention_axes: Axes that are attended, of inputs with more than three axes.
            Defaults to all but batch and features.
    """

    # What the variant can do; the contract tests hold it to this.
    causality = "optional"
    cross_attention = True
    pairwise_mask = True
    # Whether later steps leave what a causal call gives for earlier ones as it is:
    # then a sequence may come in chunks, with a state between them.
    prefix_invariant = True
    # Whether times may fall along a sequence.
    times_may_fall = True
    # Whether a gradient goes through a state, from later steps to earlier ones.
    state_gradient = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        seed=None,
        positions=None,
        attention_axes=None,
        **kwargs,
    ):
        kwargs = checks.without_keras_options(self, kwargs)
        # Autocasting would round timestamps to half precision on the way in.
        kwargs.setdefault("autocast", False)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        checks.positive_integer(num_heads=num_heads, key_dim=key_dim)
        if value_dim is not None:
            checks.positive_integer(value_dim=value_dim)
        checks.probability(dropout=dropout)
        if not self.pairwise_mask:
            checks.no_dropout(self, dropout)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = key_dim if value_dim is None else value_dim
        self.dropout = dropout
        self.use_bias = use_bias
        self._output_dims = checks.output_dims(output_shape)
        self._use_dense_options(
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )
        self.seed = seed
        self._use_positions(positions)
        self._use_axes(attention_axes)
        self.supports_masking = True
        if dropout > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def projections(self):
        """The per-head tensors that `attend` gets. A variant may add to them."""
        return (
            Projection("query", "query", self.num_heads, self.key_dim),
            Projection("key", "key", self.num_heads, self.key_dim),
            Projection("value", "value", self.num_heads, self.value_dim),
        )

    @property
    def mixed_dim(self):
        """Width of each head of what `attend` or `recur` returns."""
        return self.value_dim

    def attend(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
    ):
        """Mixes values along the sequence. Each variant implements this.

        Args:
            heads: Dictionary from the name of each projection to its tensor,
                `(B, T, heads, dim)` or `(B, S, heads, dim)`; padding is finite.
            mask: An `AttentionMask`.
            query_positions: Float32 `(B or 1, T)`, or `None` for 0, 1, 2, ...
            key_positions: Float32 `(B or 1, S)`, or `None`.
            dropout: A `WeightDropout`, or `None`.
            return_weights: Whether to return the weights too.

        Returns:
            `(B, T, H, value_dim)`, or that and the weights `(B, heads, T, S)`. With
            a state, S is that of `keys_seen`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `attend`.")

    def build(self, query_shape, value_shape=None, key_shape=None):
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        self._fold(query_shape, value_shape, key_shape)
        shapes = {"query": query_shape, "value": value_shape, "key": key_shape}
        shapes = {name: (None, None, shape[-1]) for name, shape in shapes.items()}
        self._features = query_shape[-1]
        self._sublayers = {}
        for projection in self.projections():
            layer = self.projector(projection)
            layer.build(shapes.get(projection.source, shapes["query"]))
            self._sublayers[projection.name] = layer
        self._build_positions()
        output_dims = self._output_dims or (query_shape[-1],)
        letters = "vwxyz"[: len(output_dims)]
        self._attention_output = HeadDense(
            f"bthd,hd{letters}->bt{letters}",
            output_shape=(None, *output_dims),
            bias_axes=letters if self.use_bias else None,
            name="attention_output",
            **self._dense_options(),
        )
        self._attention_output.build((None, None, self.num_heads, self.mixed_dim))

    @takes_any_axes
    def call(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        query_positions=None,
        key_positions=None,
        initial_state=None,
        return_state=False,
        projected=None,
    ):
        if query_mask is None:
            # Inside `Sequential` there is one input, whose mask rides on it.
            query_mask = carried_mask(query)
        if projected is not None:
            value, value_mask, key_positions = self._open(
                projected,
                query,
                value=value,
                key=key,
                value_mask=value_mask,
                key_mask=key_mask,
                key_positions=key_positions,
            )
        elif value is None:
            value = query
            value_mask = query_mask if value_mask is None else value_mask
        if value is query:
            key_positions = query_positions if key_positions is None else key_positions
        key = value if key is None else key
        causal = use_causal_mask or self.causality == "always"
        times = query_positions, key_positions
        self._check_call(
            (query, value, key),
            (query_mask, value_mask, key_mask, attention_mask),
            times,
            return_attention_scores,
            causal,
            initial_state,
            return_state,
        )
        self._check_times(times, (query_mask, value_mask), initial_state)
        state = initial_state
        if return_state and state is None:
            state = self.initial_state(ops.shape(query)[0])
        # A state counts by itself.
        real = packing = None
        if state is None and value is query is key and self.counts(query_positions):
            real = real_steps(query_mask, value_mask, key_mask)
        if real is not None and attention_mask is None:
            packing, query, masks, query_positions = packed(
                self._cast(query),
                (query_mask, value_mask, key_mask),
                times_at(query_positions),
                real,
            )
            value = key = query
            query_mask, value_mask, key_mask = masks
            key_positions = query_positions
        mask = AttentionMask.from_arguments(
            query_mask, value_mask, key_mask, attention_mask, causal
        )
        inputs = {"query": hide_padding(self._cast(query), mask.queries)}
        if projected is not None:
            # `project` hid padding, but not what only `attention_mask` hides.
            hidden = None if attention_mask is None else mask.keys
            heads = self._projected_heads(projected, hidden) | self.heads_of(inputs)
        else:
            inputs["key"] = hide_padding(self._cast(key), mask.keys)
            inputs["value"] = hide_padding(self._cast(value), mask.keys)
            inputs, held = self.remember(inputs, mask, state)
            heads = self.heads_of(inputs)
        dropout = None
        if training and self.dropout > 0:
            seed = keras.random.uniform((2,), 0, 2**24, seed=self.seed_generator)
            dropout = WeightDropout(self.dropout, ops.cast(seed, "int32"))
        query_times = times_at(query_positions, mask.queries)
        key_times = times_at(key_positions, mask.keys)
        if real is not None and packing is None:
            mask, query_times = self.number(mask, query_times, real)
            key_times = query_times
        outputs, weights, state = self.mix(
            self.place(heads, mask, query_times, key_times, state),
            mask,
            query_times,
            key_times,
            dropout,
            return_attention_scores,
            state,
        )
        if packing is not None:
            outputs = packing.unpack(outputs)
            weights = None if weights is None else packing.unpack_pairs(weights)
        results = [self._attention_output(outputs)]
        results += [weights] if return_attention_scores else []
        results += [{**state, **held}] if return_state else []
        return results[0] if len(results) == 1 else tuple(results)

    def remember(self, inputs, mask, state):
        """Adds what a state holds of earlier inputs. A variant may implement it.

        Args:
            inputs: Dictionary of "query", "key" and "value", `(B, T, F)` or
                `(B, S, F)`; padding is zero.
            mask: An `AttentionMask`.
            state: The state before this call, or `None`.

        Returns:
            A dictionary of tensors by the sources of `projections`, and a dictionary
            of what the next state holds of the inputs.
        """
        return inputs, {}

    def mix(
        self,
        heads,
        mask,
        query_positions,
        key_positions,
        dropout=None,
        return_weights=False,
        state=None,
    ):
        """`attend`, with the keys of a state before those of the call.

        Returns:
            The outputs, the weights or `None`, and the next state or `None`.
        """
        if state is not None:
            state, heads, mask, query_positions, key_positions = self.extend(
                state, heads, mask, query_positions
            )
        outputs = self.attend(
            heads, mask, query_positions, key_positions, dropout, return_weights
        )
        outputs, weights = outputs if return_weights else (outputs, None)
        return outputs, weights, state

    @takes_any_axes
    def compute_output_spec(
        self,
        query,
        value=None,
        key=None,
        return_attention_scores=False,
        use_causal_mask=False,
        initial_state=None,
        return_state=False,
        projected=None,
        **kwargs,
    ):
        times = [kwargs.get(name) for name in ("query_positions", "key_positions")]
        if projected is not None:
            names = ("value_mask", "key_mask", "key_positions")
            others = {name: kwargs.pop(name, None) for name in names}
            value, _, times[1] = self._open(
                projected, query, value=value, key=key, **others
            )
        value = query if value is None else value
        if value is query and times[1] is None:
            times[1] = times[0]
        key = value if key is None else key
        masks = ("query_mask", "value_mask", "key_mask", "attention_mask")
        self._check_call(
            (query, value, key),
            [kwargs.get(name) for name in masks],
            times,
            return_attention_scores,
            use_causal_mask or self.causality == "always",
            initial_state,
            return_state,
        )
        batch, steps, features = query.shape
        shape = (batch, steps, *(self._output_dims or (features,)))
        results = [keras.KerasTensor(shape, dtype=self.compute_dtype)]
        if return_attention_scores:
            keys = key.shape[1]
            if return_state or initial_state is not None:
                keys = self.keys_seen(initial_state, steps)
            shape = (batch, self.projections()[0].heads, steps, keys)
            results.append(keras.KerasTensor(shape, dtype="float32"))
        if return_state:
            results.append(self.next_state_of(initial_state, batch, steps))
        return results[0] if len(results) == 1 else tuple(results)

    def _check_call(self, *call):
        """Refuses a call that does not fit; see `checks.call_of_attention`."""
        checks.call_of_attention(self, *call)

    def get_config(self):
        return {
            **super().get_config(),
            **dtype_config(self),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self._output_dims,
            "seed": self.seed,
            "positions": keras.saving.serialize_keras_object(self._given_positions),
            "attention_axes": self.attention_axes,
            "activity_regularizer": keras.regularizers.serialize(
                self.activity_regularizer
            ),
            **self._dense_config(),
        }

    def _cast(self, x):
        return ops.cast(x, self.compute_dtype)
