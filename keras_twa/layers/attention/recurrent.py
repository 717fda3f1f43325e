"""Attention without scores of pairs: what came before is in a state of fixed size."""

from keras_twa.layers.attention.base import Attention
from keras_twa.layers.attention.streaming import Streaming


class RecurrentAttention(Attention):
    """Abstract attention whose state does not grow; a variant implements `recur`.

    No weight of a pair is ever there, to be masked, dropped or returned.
    """

    pairwise_mask = False

    def recur(self, heads, mask, positions, state):
        """Mixes values along the sequence. Each variant implements this.

        Args:
            heads: Dictionary from the name of each projection to its tensor,
                `(B, T, heads, dim)`; padding is finite.
            mask: An `AttentionMask` without pairs.
            positions: Float32 `(B or 1, T)`, or `None` for 0, 1, 2, ...
            state: Tensors as `state_spec` says, or `None` at the beginning.

        Returns:
            `(B, T, H, value_dim)`, and the next state: any where none was given.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `recur`.")

    # A state of its own, whose shapes stay: no cache of keys and values.
    state_spec = Streaming.state_spec
    next_state_shapes = Streaming.next_state_shapes

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
        outputs, state = self.recur(heads, mask, query_positions, state)
        return outputs, None, state
