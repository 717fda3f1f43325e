"""Attention with scores of pairs: each query has a weight for each key."""

from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.states import KeyValueCache


class PairAttention(Attention, abstract=True):
    """Abstract attention to pairs of queries and keys; a mechanism implements `attend`.

    A state holds the keys and values of earlier steps, by default all of them.
    """

    packs = True

    def attend(self, call):
        """Mixes values along the sequence. Each mechanism implements this.

        Args:
            call: A `Call`. With a state, keys, values and mask include the steps that
                the state holds.

        Returns:
            `(B, T, H, mixed_dim)`, and with `call.return_weights` also the attention
            weights `(B, heads, T, S)` in float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `attend`.")

    @property
    def state_kind(self):
        return KeyValueCache(self.projections())

    def mix(self, call):
        state = call.state
        if state is not None:
            state, call = self.state_kind.extend(state, call)
        found = self.attend(call)
        outputs, weights = found if call.return_weights else (found, None)
        return outputs, weights, state
