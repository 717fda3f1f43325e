"""The state vectors that block-recurrent attention carries from block to block."""

import keras
from keras import ops

GATES = {"fixed": ("candidate",), "lstm": ("candidate", "forget", "input")}


class StateVectors(keras.layers.Layer):
    """Holds the initial state vectors, and the weights to attend and to update them.

    All weights are float32 under every policy, as errors would add up from block to
    block.

    Args:
        num_states: Number N of state vectors.
        num_heads: Number of heads H.
        key_dim: Width D of each head's queries and keys.
        value_dim: Width of each head's values. A state vector has the width of all
            heads, M.
        gate: "fixed" or "lstm".
        use_bias: Whether the candidates and the gates of an LSTM have biases.
        dense_options: Function that returns the options of one dense layer:
            initializers, regularizers, constraints.
    """

    def __init__(
        self,
        num_states,
        num_heads,
        key_dim,
        value_dim,
        gate,
        use_bias,
        dense_options,
        **kwargs,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.num_states = num_states
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.gate = gate
        self.use_bias = use_bias
        self.dense_options = dense_options

    def build(self, input_shape=None):
        heads, width = self.num_heads, self.num_heads * self.value_dim
        # As small as the authors' values, so that the first blocks soon outweigh them.
        small = {"initializer": keras.initializers.RandomNormal(stddev=0.1)}
        self._held = {}
        self._add("initial", (self.num_states, width), **small)
        self._add("ids", (self.num_states, width), **small)
        for name in ("query", "step_query", "key"):
            self._add_dense(name, "kernel", (width, heads, self.key_dim))
        self._add_dense("value", "kernel", (width, heads, self.value_dim))
        for name in GATES[self.gate]:
            self._add_dense(name, "kernel", (heads, 2 * self.value_dim, width))
            if self.use_bias:
                self._add_dense(name, "bias", (width,))
        if self.gate == "fixed":
            self._add("keep_logits", (width,), initializer="zeros")

    def tensors(self):
        """The weights that `ops.block_recurrent_attention` takes, by name."""
        return {name: ops.convert_to_tensor(x) for name, x in self._held.items()}

    def _add(self, name, shape, **options):
        self._held[name] = self.add_weight(
            name=name, shape=shape, autocast=False, **options
        )

    def _add_dense(self, name, kind, shape):
        options = self.dense_options()
        chosen = ("initializer", "regularizer", "constraint")
        options = {option: options[f"{kind}_{option}"] for option in chosen}
        self._add(f"{name}_{kind}", shape, **options)
