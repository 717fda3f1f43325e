"""Attention without scores of pairs: earlier steps are in a state of fixed size."""

from keras_twa.layers.attention.base import Attention


class RecurrentAttention(Attention, abstract=True):
    """Abstract attention whose state does not grow; a mechanism implements `attend`.

    There are no attention weights of pairs that could be masked, dropped or returned.
    A mechanism also has a `state_kind`.
    """

    pairwise_mask = False

    def attend(self, call):
        """Mixes values along the sequence. Each mechanism implements this.

        Args:
            call: A `Call`, whose mask has no pairs. Its state has the tensors that
                `state_kind` says, or is `None` at the beginning.

        Returns:
            `(B, T, H, mixed_dim)`, and the next state as a dictionary of tensors, which
            is not used if there was no state before.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `attend`.")

    def mix(self, call):
        outputs, state = self.attend(call)
        return outputs, None, state
