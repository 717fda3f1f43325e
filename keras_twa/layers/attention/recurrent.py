"""Attention without scores of pairs: a state of fixed size holds earlier steps."""

import keras

from keras_twa.layers import checks
from keras_twa.layers.attention.directed import Directed
from keras_twa.layers.attention.short_convolution import ShortConvolution
from keras_twa.layers.attention.short_convolution import slot_of_last


class RecurrentAttention(Directed, abstract=True):
    """Abstract attention whose state does not grow; a mechanism implements `attend`.

    There are no attention weights of pairs to mask, drop or return. A mechanism also
    defines a `state_kind`.

    Args:
        *args: The arguments of `Directed`.
        convolution: Number of steps of a short convolution of queries, keys and values,
            or `None`. With one, the layer is always causal among its own steps.
        **kwargs: The arguments of `Directed`.
    """

    pairwise_mask = False
    convolves = True

    def __init__(self, *args, convolution=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.convolution = convolution
        if convolution is not None:
            checks.convolution(convolution)
            self.cross_attention = False
            if self.direction == "forward":
                self.causality = "always"

    def attend(self, call):
        """Mixes values along the sequence. Each mechanism implements this.

        Args:
            call: A `Call` whose mask has no pairs. Its state has the tensors that
                `state_kind` describes; without a state, it is `None`.

        Returns:
            `(B, T, H, mixed_dim)`, and the next state as a dictionary of tensors, which
            is ignored if the call has no state.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `attend`.")

    def mix(self, call):
        outputs, state = self.attend(call)
        return outputs, None, state

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        if self.convolution is not None:
            self._convolution = ShortConvolution(
                self.convolution,
                self.projections(),
                dtype=self.dtype_policy,
                name="convolution",
            )
            self._convolution.build()

    def convolve(self, heads, mask, state):
        if self.convolution is None:
            return heads, {}
        before = None if state is None else state["convolution"]
        heads, last = self._convolution(heads, mask.keys, before, mask.key_segments)
        return heads, {"convolution": last}

    def state_spec(self, dtype=None, max_length=None):
        found = super().state_spec(dtype, max_length)
        if self.convolution is None:
            return found
        dtype = dtype or self.compute_dtype
        slot = slot_of_last(self.convolution, self.projections(), dtype)
        return {**found, "convolution": slot}

    def get_config(self):
        return {**super().get_config(), "convolution": self.convolution}

    def _add(self, name, values):
        """A weight with these initial values, in float32 under every policy."""
        return self.add_weight(
            shape=values.shape,
            initializer=keras.initializers.Constant(values.astype("float32")),
            autocast=False,
            name=name,
        )
