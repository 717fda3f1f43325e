"""Attention without scores of pairs: a state of fixed size holds earlier steps."""

import keras

from keras_twa.layers.attention.base import Attention


class RecurrentAttention(Attention, abstract=True):
    """Abstract attention whose state does not grow; a mechanism implements `attend`.

    There are no attention weights of pairs to mask, drop or return. A mechanism also
    defines a `state_kind`.
    """

    pairwise_mask = False

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

    def _add(self, name, values):
        """A weight with these initial values, in float32 under every policy."""
        return self.add_weight(
            shape=values.shape,
            initializer=keras.initializers.Constant(values.astype("float32")),
            autocast=False,
            name=name,
        )
