"""The base class of attention: project, mix along the sequence, project back."""

import keras
from keras import ops

from keras_twa.keras_internals import in_symbolic_scope
from keras_twa.layers import checks
from keras_twa.layers.attention.arguments import resolve
from keras_twa.layers.attention.call import Call
from keras_twa.layers.attention.conversion import before_conversion
from keras_twa.layers.attention.counting import Counted
from keras_twa.layers.attention.docstring import composed
from keras_twa.layers.attention.facts import Facts
from keras_twa.layers.attention.folding import Fold
from keras_twa.layers.attention.isolation import Isolated
from keras_twa.layers.attention.positioned import Positioned
from keras_twa.layers.attention.streaming import Streaming
from keras_twa.layers.positions.bias import times_at
from keras_twa.layers.quantized import dtype_config
from keras_twa.masks import AttentionMask
from keras_twa.ops import WeightDropout


class Attention(Facts, Positioned, Streaming, keras.layers.Layer):
    """Abstract multi-head attention: a mechanism implements `attend`.

    A mechanism subclasses `PairAttention` or `RecurrentAttention`.

    The constructor and the call take the arguments of `keras.layers.MultiHeadAttention`
    in the same order, so that any layer of this package can replace it.

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
        positions: Positions inside the attention: "rotary", "alibi", "t5", "shaw", or a
            layer of such positions. Defaults to `None`.
        attention_axes: Axes to attend over, for inputs with more than three axes.
            Defaults to all but batch and features.
    """

    def __init_subclass__(cls, abstract=False, **kwargs):
        super().__init_subclass__(**kwargs)
        # Only direct subclasses are composed: a subclass of a mechanism keeps its own
        # docstring.
        cls._is_abstract = abstract
        extends = any(vars(base).get("_is_abstract") for base in cls.__bases__)
        if extends and not abstract and cls.__doc__:
            cls.__doc__ = composed(cls)

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
        self.attention_axes = checks.axes(attention_axes)
        self.supports_masking = True
        if dropout > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def attend(self, call):
        """Mixes values along the sequence. Each mechanism implements this.

        Args:
            call: A `Call`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `attend`.")

    def mix(self, call):
        """Calls `attend`, with the steps in the state. Each family implements this.

        Args:
            call: A `Call`, whose keys and values are those of this call only.

        Returns:
            The outputs `(B, T, H, mixed_dim)`; the attention weights
            `(B, heads, T, S)`, or `None`; and the next state, or `None`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `mix`.")

    def remember(self, inputs, mask, state):
        """Adds the earlier inputs in a state. A mechanism may override it.

        Args:
            inputs: Dictionary of "query", "key" and "value", `(B, T, F)` or
                `(B, S, F)`; padding is zero.
            mask: The `AttentionMask`.
            state: The state before this call, or `None`.

        Returns:
            A dictionary from the sources of `projections` to tensors, and a dictionary
            of the inputs that the next state holds.
        """
        return inputs, {}

    def match(self, heads):
        """Adjusts the heads before rotation and caching. A mechanism may override it.

        Args:
            heads: Dictionary from the name of each projection to its tensor.
        """
        return heads

    def convolve(self, heads, mask, state):
        """Adds the earlier heads in a state, after `match`. A family may override it.

        Args:
            heads: Dictionary from the name of each projection to its tensor.
            mask: The `AttentionMask`.
            state: The state before this call, or `None`.

        Returns:
            The heads, and a dictionary of the tensors that the next state holds.
        """
        return heads, {}

    def check_call(self, arguments):
        """Raises if the mechanism cannot take `Arguments`. It may override this."""

    @property
    def by_time(self):
        """Whether outputs depend on the times of steps."""
        return self.uses_times or self.positions is not None

    def counts(self, times):
        """Whether outputs depend on the number of steps between two steps.

        Args:
            times: The times of the steps, or `None` if these are their numbers.
        """
        return self.counts_steps or (self.by_time and times is None)

    def build(self, query_shape, value_shape=None, key_shape=None):
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        Fold.of_shapes(self.attention_axes, query_shape, value_shape, key_shape)
        self._build_projections(query_shape, value_shape, key_shape)
        self._build_positions()

    def __call__(self, query, *args, **kwargs):
        args, kwargs = before_conversion((query, *args), kwargs)
        return super().__call__(*args, **kwargs)

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
        segment_ids=None,
        key_segment_ids=None,
    ):
        arguments = resolve(
            self,
            query=query,
            value=value,
            key=key,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            return_attention_scores=return_attention_scores,
            use_causal_mask=use_causal_mask,
            query_positions=query_positions,
            key_positions=key_positions,
            initial_state=initial_state,
            return_state=return_state,
            projected=projected,
            segment_ids=segment_ids,
            key_segment_ids=key_segment_ids,
        )
        streams = arguments.return_state or arguments.state is not None
        if in_symbolic_scope() and not streams and arguments.projected is None:
            return self._zeros(arguments)
        isolated = Isolated.of(arguments)
        outputs, weights, state = self.project_and_mix(isolated.arguments, training)
        outputs = self._attention_output(outputs)
        outputs, weights = isolated.marked(outputs, weights)
        return arguments.results(outputs, weights, state)

    def _zeros(self, arguments):
        """Results of the right shapes, where Keras asks for nothing else.

        On JAX, it asks with lengths that are symbols, which kernels cannot compute
        with. The shapes here come from broadcasting alone.
        """
        one = ops.cast(arguments.query[..., :1], self.compute_dtype)
        dims = self._output_dims or (arguments.query.shape[-1],)
        outputs = one
        for _ in dims[1:]:
            outputs = outputs[..., None]
        outputs = outputs * ops.zeros(dims, self.compute_dtype)
        weights = None
        if arguments.return_scores:
            heads = ops.zeros((self.projections()[0].heads, 1, 1), "float32")
            columns = ops.cast(arguments.key[:, None, None, :, 0], "float32")
            weights = heads * ops.cast(one[:, None], "float32") * columns
        return arguments.results(outputs, weights, None)

    def project_and_mix(self, arguments, training, read=None):
        """Projects the inputs of a call to heads, and mixes them along the sequence.

        Args:
            arguments: The `Arguments`.
            training: Whether dropout is active.
            read: Function like `read`, which it replaces.

        Returns:
            As `mix`.
        """
        counted = Counted.of(self, arguments)
        call, held = self._project(counted, training, read or self.read)
        outputs, weights, state = self.mix(call)
        outputs, weights = counted.unpack(outputs, weights)
        return outputs, weights, {**(state or {}), **held}

    def read(self, inputs, mask, state):
        """Projects queries, keys and values to heads.

        Args:
            inputs: Dictionary of "query", "key" and "value", `(B, T, F)` or
                `(B, S, F)`; padding is zero.
            mask: The `AttentionMask`.
            state: The state before this call, or `None`.

        Returns:
            The heads by the names of their projections, and a dictionary of the inputs
            that the next state holds.
        """
        inputs, held = self.remember(inputs, mask, state)
        return self.heads_of(inputs), held

    def _project(self, counted, training, read):
        """Projects the inputs of a call to heads.

        Args:
            counted: The call, as `Counted`.
            training: Whether dropout is active.
            read: See `project_and_mix`.

        Returns:
            The `Call`, and a dictionary of the inputs that the next state holds.
        """
        given, held = counted.arguments, {}
        state = given.state
        if given.return_state and state is None:
            state = self.initial_state(ops.shape(given.query)[0])
        mask = AttentionMask.from_arguments(
            given.query_mask,
            given.value_mask,
            given.key_mask,
            given.attention_mask,
            given.is_causal,
        )
        mask = given.segmented(mask)
        inputs = {"query": self._without_padding(given.query, mask.queries)}
        if given.projected is not None:
            # `project` has zeroed padding, but not keys that only `attention_mask`
            # hides.
            hidden = None if given.attention_mask is None else mask.keys
            heads = self.projected_heads(given.projected, hidden)
            heads = heads | self.heads_of(inputs)
        else:
            inputs["key"] = self._without_padding(given.key, mask.keys)
            inputs["value"] = self._without_padding(given.value, mask.keys)
            heads, held = read(inputs, mask, state)
        query_times = times_at(given.query_positions, mask.queries)
        key_times = times_at(given.key_positions, mask.keys)
        mask, *times = counted.number(self, mask, query_times, key_times)
        heads, last = self.convolve(self.match(heads), mask, state)
        heads = self.turned(heads, mask, *times, state)
        dropout = self._weight_dropout(training)
        call = Call(heads, mask, *times, dropout, given.return_scores, state)
        return call, {**held, **last}

    def _weight_dropout(self, training):
        """The `WeightDropout` of a call, or `None`."""
        if not training or self.dropout == 0:
            return None
        seed = keras.random.uniform((2,), 0, 2**24, seed=self.seed_generator)
        return WeightDropout(self.dropout, ops.cast(seed, "int32"))

    def compute_output_spec(self, *args, **kwargs):
        arguments = resolve(self, *args, **kwargs)
        batch, steps, features = arguments.query.shape
        shape = (batch, steps, *(self._output_dims or (features,)))
        outputs = keras.KerasTensor(shape, dtype=self.compute_dtype)
        weights = state = None
        if arguments.return_scores:
            keys = arguments.key.shape[1]
            if arguments.return_state or arguments.state is not None:
                keys = self.keys_seen(arguments.state, steps)
            shape = (batch, self.projections()[0].heads, steps, keys)
            weights = keras.KerasTensor(shape, dtype="float32")
        if arguments.return_state:
            state = self.next_state_of(arguments.state, batch, steps)
        return arguments.results(outputs, weights, state)

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        Fold.of_shapes(self.attention_axes, query_shape, value_shape, key_shape)
        return (*query_shape[:-1], *(self._output_dims or (query_shape[-1],)))

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
