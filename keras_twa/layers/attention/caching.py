"""Attention whose state holds the keys and values of all steps so far."""

from keras_twa.layers.attention import cache
from keras_twa.layers.attention.streaming import Streaming
from keras_twa.ops.packing import count


class Caching(Streaming):
    """The part of an attention layer that keeps keys and values for later steps."""

    def extend(self, state, heads, mask, positions):
        """Puts further steps into a state; see `cache.extend`."""
        return cache.extend(state, heads, mask, positions)

    def steps_before(self, state):
        """How many real steps of each row a state has seen, integer `(B,)`."""
        return count(state["real"])

    def state_spec(self, dtype=None, max_length=None):
        return cache.spec(self.projections(), dtype or self.compute_dtype, max_length)

    def next_state_shapes(self, shapes, steps):
        return cache.shapes_after(shapes, steps)
